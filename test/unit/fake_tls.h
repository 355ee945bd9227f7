/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Self-signed certificates for tests, good until 2120: one of 127.0.0.1 and
 * api.sluice.test with its key, which protects nothing, and one of another.
 */

static const char fake_cert[] = "-----BEGIN CERTIFICATE-----\n"
				"MIIBcDCCARegAwIBAgIBATAKBggqhkjOPQQDAjAWMRQwEgYDVQQDDAtzbHVpY2Ug\n"
				"dGVzdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFjEUMBIGA1UE\n"
				"AwwLc2x1aWNlIHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQO/gahTHSM\n"
				"q15bzODxyIyJR/Tj1nkWBRSKUjv+1Rd+0WnRojKGODqs32VUKw/cKbMiD4cCVL6r\n"
				"xxGmvZTTg2X9o1QwUjAPBgNVHRMBAf8EBTADAQH/MCAGA1UdEQQZMBeHBH8AAAGC\n"
				"D2FwaS5zbHVpY2UudGVzdDAdBgNVHQ4EFgQUO92lIq/FbyGAOZyjaYUvA2THnDEw\n"
				"CgYIKoZIzj0EAwIDRwAwRAIgKoH+u7sb9NCLQA6zak/uQGV96cvPgGvuiFLqWKhy\n"
				"hEcCIC2rJB2xeXJoq4ODuS2mYkw2Jp/xRRB083xW+vlvtph3\n"
				"-----END CERTIFICATE-----\n";

static const char fake_key[] = "-----BEGIN PRIVATE KEY-----\n"
			       "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgeMLf2h1B3byLrU2q\n"
			       "jy5/qWsqdTjI+eFYx4yhzQrLZdihRANCAAQO/gahTHSMq15bzODxyIyJR/Tj1nkW\n"
			       "BRSKUjv+1Rd+0WnRojKGODqs32VUKw/cKbMiD4cCVL6rxxGmvZTTg2X9\n"
			       "-----END PRIVATE KEY-----\n";

static const char fake_other_cert[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBRjCB7aADAgECAgEBMAoGCCqGSM49BAMCMBIxEDAOBgNVBAMMB2Fub3RoZXIw\n"
	"IBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBIxEDAOBgNVBAMMB2Fu\n"
	"b3RoZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASubmyv/Ryt07fM44Hk3hbT\n"
	"5ZEx8Ej6RwAIdT8PArMbr0YzhEY60ZxE3QrxH2HVah2VVck6j12TTWSGxujgJOLp\n"
	"ozIwMDAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBTRgLb6HiaeSks/P05AChKr\n"
	"oEjimTAKBggqhkjOPQQDAgNIADBFAiBq6PeIg16HwpPcTFbl68oUQ02p17pZZTFR\n"
	"hsZGjmIKOQIhAPvjPZZyFI06zk/rmiKlUFTH4cihYbp8lV0Qq4Ajiz0r\n"
	"-----END CERTIFICATE-----\n";
