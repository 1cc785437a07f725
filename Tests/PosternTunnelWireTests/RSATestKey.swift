/// An RSA key of 2048 bits that signs in tests and nowhere else; the libraries here make none. PKCS #8 in DER.
enum RSATestKey {
    static func pem() -> String { "-----BEGIN PRIVATE KEY-----\n\(base64)\n-----END PRIVATE KEY-----\n" }

    private static let base64 = """
        MIIEowIBAAKCAQEA2UjaxlN4U0RbsZ1kET84PaSa6uHyy2qomdQ4Shw6qmWge7/bQs5GiC6/9ocWxAt11i/5K8GoCTm905WF5VpL
        8wikREg7CRwRNbRAWhQRc1mx/Ifwr4zRzGc0l3u9CzrSsCRU8iUkP8MzPba47uxMTOpa1nappUW7HvL2WDhib1AO9y/8REvkyPlJ
        +GrB0esB0JNPZxcRw0oLU6m8o3DrsOw3WyarrnJ7MXMt/ze2iEuT4/dghkp996kM39zQr8I9nISwovgOY3ZgJKrkIB2Xs7qJ7CQD
        0TPp5f6OaZrJrNRCyattUqPGokiqLw/LTN6VrZVxz9N3PP2IBjBH1L07mQIDAQABAoIBABSnUbBXX9EeZs7fxJLFHR3y5wzblF4U
        kdkpbH5S55qp1VLd/kP/4oFwXCvdVGMnKbjFz5wCqOvTksEpbdRKvHxp/l9FNGNdyR7/Nry5Op1p0brM2yp8qraQutWJXANUwJEg
        qvhnYmYzMkwz8ak4SdpnzmGjXuXIVoyPEK57EZQ97Y+URhh4mNY+E2lhZT0PG6nojNqu4VVR9jXEaSi/DYrv4Fo/nvd9MsmSuNt0
        dNJ+Z/4l9Sw/fgvp9eYWfKvXWE4UFNpIU5HeDoP+PLq1Zprz+9ScPTB7KPg729ZHsZ3P5DdljJ7A8esMAP36Gp2wHmEfGpnprwuv
        OqRnNU//ht8CgYEA7bshKpqsnHxs8aQ1rC/H3Rkd12h+vqGFOciTUiufJrnVkIVDMdHeQ1yBV1fVDt3JexmDn+ia15sxIQzUiqk3
        giDS4afq/1D6z028kI/xvm5fDYnWisylUIoL7DD2jcCP9DvedV0MdPnn+nIjJv4XjFLtLf5nWf6IWjziLxKHw78CgYEA6ft79abM
        nixVX9ngR8/cjdDeAMobemPGhdEWaz4NTcpr+R9ogvWpGnqeMWJFhyQ9+5c6wuNlizjRg/nPWLsSF7P6gg6LCoCxlvXtNS0BE6Gs
        VAZpbOgF27DGRNkiz26zjJ2hvHZRXls5tNrmKmNV9iHn8+NT88OiePF7OwCt9qcCgYEAuUC/obGSnQcg5lSuNpWtS5AM/xVA31CC
        vvqcQsYXaVgbIlmWeTYv25I0gFnDf6g5H6JMPcpHD4iyCi0zWzJuPQtTCeGOcJMsP2s2a/ify2O60pP9CYBbup04mT+2gdPy2cHl
        otN1p5ouua1D01jiBMmCZfr/ktOUca1MHJ52CYUCgYAeh3CiGbRjAvfUvNHVrNpjKph80+IH8xLJDQH21i7YMowqAh4Z0EHTMaKI
        YQEfY+wucon5OcBbDPvRU3vpYOc4boRGCe28XhRN1SKxKIEWdabNg9SnoBJ7mrIT85zmIdSNiVe8BlgRjqeV4GXdq/5gUgY4vTWL
        /b+qNh/VD/6iywKBgFYujQapvQhZ47/DuQv3OgKZzhDtMPfdvHwVpmf7p/r8WOUrVDlMeVAdxKe/wywsP+poPyIO7Y0l/seqvJhQ
        ZhGV822KPmVuMsRZ7tyaY3mjSQxB1u+OHNjxQasewamx2E7ipJJxKkUP/HIOzMK7HXSMvW+gedMA6Tv8W7Csc9K/
        """
}
