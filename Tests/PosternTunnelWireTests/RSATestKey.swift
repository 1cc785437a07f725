/// An RSA key of 2048 bits that signs in tests and nowhere else; the libraries here make none. PKCS #1 in DER.
enum RSATestKey {
    static func pem() -> String { "-----BEGIN RSA PRIVATE KEY-----\n\(base64)\n-----END RSA PRIVATE KEY-----\n" }

    private static let base64 = """
        MIIEowIBAAKCAQEA2UjaxlN4U0RbsZ1kET84PaSa6uHyy2qomdQ4Shw6qmWge7/b
        Qs5GiC6/9ocWxAt11i/5K8GoCTm905WF5VpL8wikREg7CRwRNbRAWhQRc1mx/Ifw
        r4zRzGc0l3u9CzrSsCRU8iUkP8MzPba47uxMTOpa1nappUW7HvL2WDhib1AO9y/8
        REvkyPlJ+GrB0esB0JNPZxcRw0oLU6m8o3DrsOw3WyarrnJ7MXMt/ze2iEuT4/dg
        hkp996kM39zQr8I9nISwovgOY3ZgJKrkIB2Xs7qJ7CQD0TPp5f6OaZrJrNRCyatt
        UqPGokiqLw/LTN6VrZVxz9N3PP2IBjBH1L07mQIDAQABAoIBABSnUbBXX9EeZs7f
        xJLFHR3y5wzblF4UkdkpbH5S55qp1VLd/kP/4oFwXCvdVGMnKbjFz5wCqOvTksEp
        bdRKvHxp/l9FNGNdyR7/Nry5Op1p0brM2yp8qraQutWJXANUwJEgqvhnYmYzMkwz
        8ak4SdpnzmGjXuXIVoyPEK57EZQ97Y+URhh4mNY+E2lhZT0PG6nojNqu4VVR9jXE
        aSi/DYrv4Fo/nvd9MsmSuNt0dNJ+Z/4l9Sw/fgvp9eYWfKvXWE4UFNpIU5HeDoP+
        PLq1Zprz+9ScPTB7KPg729ZHsZ3P5DdljJ7A8esMAP36Gp2wHmEfGpnprwuvOqRn
        NU//ht8CgYEA7bshKpqsnHxs8aQ1rC/H3Rkd12h+vqGFOciTUiufJrnVkIVDMdHe
        Q1yBV1fVDt3JexmDn+ia15sxIQzUiqk3giDS4afq/1D6z028kI/xvm5fDYnWisyl
        UIoL7DD2jcCP9DvedV0MdPnn+nIjJv4XjFLtLf5nWf6IWjziLxKHw78CgYEA6ft7
        9abMnixVX9ngR8/cjdDeAMobemPGhdEWaz4NTcpr+R9ogvWpGnqeMWJFhyQ9+5c6
        wuNlizjRg/nPWLsSF7P6gg6LCoCxlvXtNS0BE6GsVAZpbOgF27DGRNkiz26zjJ2h
        vHZRXls5tNrmKmNV9iHn8+NT88OiePF7OwCt9qcCgYEAuUC/obGSnQcg5lSuNpWt
        S5AM/xVA31CCvvqcQsYXaVgbIlmWeTYv25I0gFnDf6g5H6JMPcpHD4iyCi0zWzJu
        PQtTCeGOcJMsP2s2a/ify2O60pP9CYBbup04mT+2gdPy2cHlotN1p5ouua1D01ji
        BMmCZfr/ktOUca1MHJ52CYUCgYAeh3CiGbRjAvfUvNHVrNpjKph80+IH8xLJDQH2
        1i7YMowqAh4Z0EHTMaKIYQEfY+wucon5OcBbDPvRU3vpYOc4boRGCe28XhRN1SKx
        KIEWdabNg9SnoBJ7mrIT85zmIdSNiVe8BlgRjqeV4GXdq/5gUgY4vTWL/b+qNh/V
        D/6iywKBgFYujQapvQhZ47/DuQv3OgKZzhDtMPfdvHwVpmf7p/r8WOUrVDlMeVAd
        xKe/wywsP+poPyIO7Y0l/seqvJhQZhGV822KPmVuMsRZ7tyaY3mjSQxB1u+OHNjx
        Qasewamx2E7ipJJxKkUP/HIOzMK7HXSMvW+gedMA6Tv8W7Csc9K/
        """
}
