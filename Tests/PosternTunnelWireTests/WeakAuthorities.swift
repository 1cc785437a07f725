/// Authorities with one fault that no Swift library makes: made with `openssl req -x509`, valid until 2126, their keys thrown away.
enum WeakAuthorities {
    /// RSA with 1024 bits.
    static let rsa1024 = """
        -----BEGIN CERTIFICATE-----
        MIIB6zCCAVSgAwIBAgIUaC+tGRNx/AN8/CtEG7lbYjgQtmkwDQYJKoZIhvcNAQEL
        BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjcxNDQyMTRaGA8yMTI2MTEwMzE0
        NDIxNFowDzENMAsGA1UEAwwEd2VhazCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC
        gYEAt4CwFi1meyhmwDZmSR2j078moIa7VqmdkpcADFkMI3+2Awm2ub02uLQwFpRH
        iRZay43Vtk3jC+Y98+Z2Z0VtfwxDYDmpDDY1NSPkox0LqSJhWix/eLkq4Kj8Ackw
        DJ1J52U38dreb1Tf8bexiLw77CObY8GXR7brvYKyekWeR7UCAwEAAaNCMEAwDwYD
        VR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAgQwHQYDVR0OBBYEFNrkGsLuJ9fo
        CNEf7GCKcpY7va/BMA0GCSqGSIb3DQEBCwUAA4GBAATtwcHiiw+uikyxlP4K/5rV
        myH8yihaxlwsvyfyuWN4xYfH6dmV/Hvr4ONTG2VlaVZT4eSzF8TcMNS2wK3A+c+P
        6pOK5OWWvRxwUBTudghSEk0S6BoRex7ooKBAHqyrA5udR8DsycfVUf1kbV5toL+l
        Z/Sae/UrTMmirZbZNye1
        -----END CERTIFICATE-----
        """

    /// RSA with 2048 bits, signed with SHA-1.
    static let sha1 = """
        -----BEGIN CERTIFICATE-----
        MIIC8DCCAdigAwIBAgIUKe/vR/O57Pv292SXMfvAszxzQDIwDQYJKoZIhvcNAQEF
        BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjcxNDQyMTRaGA8yMTI2MTEwMzE0
        NDIxNFowDzENMAsGA1UEAwwEd2VhazCCASIwDQYJKoZIhvcNAQEBBQADggEPADCC
        AQoCggEBAKaiKZ2NJVvqELEwgi+TWN67mrPpU12FwpkJda3NwSSgIWGbQ0Octd0U
        I/GMfYx9Zj8ZTLiLgCfpupxZLreYEFJJGzjcaAk/HMeAEoCGJ/Cx3A9f8vTf/rut
        tvT4LUv3JFJ0WoQdRdipYVVmRpc6aXBysvgf50gtxh4bkd+666J+zqyK2djk06TA
        LnUZRrziM4gooJNSNQJsqmqq15ACH3EZrsgPRApbgWuAcQ6PvPFDjK+JlAYCw53h
        FIDcrOlBoyIctY+fvFK15oXB5E93iF1iytSf7JgLrvm7JA3cibTq4sX77mTpGoOn
        Fv4H0aBpvTHHjkO+WzmsJnH1I85/JtUCAwEAAaNCMEAwDwYDVR0TAQH/BAUwAwEB
        /zAOBgNVHQ8BAf8EBAMCAgQwHQYDVR0OBBYEFEUNBfARiehK/WnKp5enHBOm+UcQ
        MA0GCSqGSIb3DQEBBQUAA4IBAQAOXrrwLAXdcpCmaBPq4lr0es+cnnHCehloZcdk
        7XQT/eA54bHmD8ly3bUCuNvUxMtWwdfA3O3j7duIuJ04rKgRrcDfKPeZeHmsBMam
        FPgz0gbyEwJVZQz5Co2cOSg6POm1Z1S7i2+BFRIa0KU+KnLBgSi5Gi5ch4ZZocU/
        Zoqp5C+FvwmOyhztkZWcHAjxGMUVCo5HTmMWoE0rgIDyITRoecR20wwWY8YA/EfR
        ixiJSA59vQkAt7EjicWx/n1+4un7u03i7VR3Tf4o5mqGnST0iWeghuPzvMEeHkTm
        3/3ljavOZ2EO1fzIs1GiFlX0tcTIffT4elbeL2h+Ni6dHXh5
        -----END CERTIFICATE-----
        """

    /// ECDSA on secp256k1.
    static let secp256k1 = """
        -----BEGIN CERTIFICATE-----
        MIIBYTCCAQegAwIBAgIUEN+A7ovf/DA0vWIQvY13Ekf2m9swCgYIKoZIzj0EAwIw
        DzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjcxNDQyMTRaGA8yMTI2MTEwMzE0NDIx
        NFowDzENMAsGA1UEAwwEd2VhazBWMBAGByqGSM49AgEGBSuBBAAKA0IABFSM6Awb
        E2JlON5o1bZuCVPQKWwtkcwTJmqWIqayFRqUe6P+54GMMatDXILpxmIcfjrYqGTk
        2SeOfddkBbBPTt2jQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIE
        MB0GA1UdDgQWBBQluuZxAJHrT8he2ovfrDD77qDvjzAKBggqhkjOPQQDAgNIADBF
        AiBE0OXhekX6m1EBM5tSJK0pOVcMk+ovaaNfrVb0TKDxZgIhAMryfXYY5PMyMYfG
        K4blqjK0vmj7E+VF+omfMajsU3qS
        -----END CERTIFICATE-----
        """

    /// ECDSA on P-224.
    static let secp224r1 = """
        -----BEGIN CERTIFICATE-----
        MIIBUDCB/6ADAgECAhQXMv7P628yH/UE19TquVjSn7J/DjAKBggqhkjOPQQDAjAP
        MQ0wCwYDVQQDDAR3ZWFrMCAXDTI2MTEyNzE0NDIxNFoYDzIxMjYxMTAzMTQ0MjE0
        WjAPMQ0wCwYDVQQDDAR3ZWFrME4wEAYHKoZIzj0CAQYFK4EEACEDOgAETpWTQ43d
        HGWqmXmexTujP6OvH875YMl9y18sdAGmatYF6Q2TxLkuxD0hLXEbBqbaR0EyOeVO
        152jQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMB0GA1UdDgQW
        BBT/CkzCnLGcBzhouGhbMBzW0H6tzzAKBggqhkjOPQQDAgNAADA9AhwjKaj3wJdd
        9XGUcDv87m6y+hjoqm+YvXsFJ6U1Ah0AloDlEopA9n2EIyvFqiABPD7jfeyclT2J
        Oi+duA==
        -----END CERTIFICATE-----
        """

    /// X.509 version 1: no extensions at all.
    static let version1 = """
        -----BEGIN CERTIFICATE-----
        MIICozCCAYsCFArlqsK2NtPRzIeZsTay4MGkcpiUMA0GCSqGSIb3DQEBCwUAMA0x
        CzAJBgNVBAMMAnYxMCAXDTI2MTEyNzE0NDIxNFoYDzIxMjYxMTAzMTQ0MjE0WjAN
        MQswCQYDVQQDDAJ2MTCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAKai
        KZ2NJVvqELEwgi+TWN67mrPpU12FwpkJda3NwSSgIWGbQ0Octd0UI/GMfYx9Zj8Z
        TLiLgCfpupxZLreYEFJJGzjcaAk/HMeAEoCGJ/Cx3A9f8vTf/ruttvT4LUv3JFJ0
        WoQdRdipYVVmRpc6aXBysvgf50gtxh4bkd+666J+zqyK2djk06TALnUZRrziM4go
        oJNSNQJsqmqq15ACH3EZrsgPRApbgWuAcQ6PvPFDjK+JlAYCw53hFIDcrOlBoyIc
        tY+fvFK15oXB5E93iF1iytSf7JgLrvm7JA3cibTq4sX77mTpGoOnFv4H0aBpvTHH
        jkO+WzmsJnH1I85/JtUCAwEAATANBgkqhkiG9w0BAQsFAAOCAQEAIZ8o9bMkz973
        sDNCw+rAYD2bYogBRdGyU5oTYW8pjs0tb07dOWhStf0xH2P+IcMcZVg5ZOzPHhf1
        CVeqPKBMxgX7xjPeAGoReWyWS36vsueijsrOWP3K/mGlXU43Edn/uh2ew4QWlDo1
        MPgclU/+n5K50VduVqHh+OLSgA0+aLEmYCwZj0cO6S/Qu+/eQhn302hSE2WSQj57
        fHbZoWbv+haIFoNrvXitd6vklm/JYX19JrVlUI/CqHvPxjLXiq7DryvuyQxsIdbU
        tzEtPAGdMEIe0O7OmjC6hPfALw5bjBoefkORKejpuWZoFrffxRxKgxGatF2Dhg0X
        KafcNVZHwg==
        -----END CERTIFICATE-----
        """

    /// Nothing wrong: RSA with 2048 bits and SHA-256.
    static let rsa2048 = """
        -----BEGIN CERTIFICATE-----
        MIIC8DCCAdigAwIBAgIUVWktq56Udce7YnUHK25REHGgLMEwDQYJKoZIhvcNAQEL
        BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjcxNDQyMTRaGA8yMTI2MTEwMzE0
        NDIxNFowDzENMAsGA1UEAwwEd2VhazCCASIwDQYJKoZIhvcNAQEBBQADggEPADCC
        AQoCggEBAL0IH66QS1OgIu+D2piSxPWMhDQivz9kcE/fwpnICdnvGXvYsWSS0oZ1
        wJGyh6k0cZ2+DKL2Sy+4YXJTRCvtTHjrFSsmZE6JvLzRZYfIvLM6PZ4Up9b1E++B
        lK8tAPNtyqV9On0L+gEadvEmPIgOxc5X9W3cRBbdsXP7lEuRE3OGQrIJMiTd/eUS
        cjU8MXUJLURl9ddsBZb0iYfFzeSpnEvVMlJS/ZYwydaYzLJFzVOFRTf+XXBD67fa
        Ihi9lOHgrBgEPjYTReIZWBzolMfzj08h5ldfLVEYvohL224fkJf9UG5cZvuWlG81
        ftS4ewIjKueH3MPTWRxH681pvWTEWfcCAwEAAaNCMEAwDwYDVR0TAQH/BAUwAwEB
        /zAOBgNVHQ8BAf8EBAMCAgQwHQYDVR0OBBYEFKW5hqWu7qqPoJcivPmRpHPCGq+m
        MA0GCSqGSIb3DQEBCwUAA4IBAQA0cI5raBlB0fnhI53XEZ2NH4pNkRIuSIJknzN0
        QzUcrlwt2hQoo3EXSsVFGpdfElDpfdyKZmJobzF7HjBuPeToYsrKRI6k0ioH58VQ
        DswwLyjniCWKII8c+c1+gJRN1f0Ca6duuzU29xddFpNHNjR8iK7zGJOyEG0pJ+va
        aur7Se0m6ht0dQR2gpovX+hcrsqLXzr6jp01K+lDEZkTPCTAoDsZXu3cvWPA4v8r
        J1M4JL9z5Wac0y94dDEz19JmQR1zo9lFGqXHXfYPK4lV/Yff2nYHUNhNYKth5nP0
        3u8BNgaQan7ruVEc8xO7B9UaD+wI/VkKiullGaBio5s2KUO/
        -----END CERTIFICATE-----
        """
}
