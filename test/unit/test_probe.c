/* SPDX-License-Identifier: Apache-2.0 */

/* The frame of a probe, byte by byte; test/packet/test_probe.c sends it. */

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/tables/probe.h"

static const struct sl_flow flow = { .isn = 0xfffffffe, .proof = 0 };
static uint8_t frame[PROBE_FRAME_MAX];

static struct sl_tuple6 key_of(int family, const char *client, const char *frontend)
{
	struct sl_tuple6 key = { .sport = htons(40000), .dport = htons(443), .proto = 6 };
	int af = family == 4 ? AF_INET : AF_INET6;

	ck_assert_int_eq(inet_pton(af, client, key.saddr), 1);
	ck_assert_int_eq(inet_pton(af, frontend, key.daddr), 1);
	return key;
}

/* The checksums come from another implementation. */
START_TEST(ipv4)
{
	static const uint8_t want[] = {
		0,    0,    0,	  0,	0,    0,    0,	  0,	0,    0,
		0,    0,    0x08, 0x00, /* Ethernet */
		0x45, 0,    0,	  40,	0,    0,    0x40, 0,	64,   6,
		0x6e, 0x68, 10,	  96,	0,    1,    192,  0,	2,    7, /* IP */
		0x01, 0xbb, 0x9c, 0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0x50, 0x10, 0xff, 0xff, 0x45, 0x71, 0,    0,
	};
	struct sl_tuple6 key = key_of(4, "192.0.2.7", "10.96.0.1");

	ck_assert_uint_eq(probe_frame(&key, 4, &flow, 0, frame), sizeof(want));
	ck_assert_mem_eq(frame, want, sizeof(want));
}
END_TEST

START_TEST(ipv6)
{
	static const uint8_t want[] = {
		0,    0,    0,	  0,	0,    0,    0,	  0,	0,    0,
		0,    0,    0x86, 0xdd,			      /* Ethernet */
		0x60, 0,    0,	  0,	0,    20,   6,	  64, /* IP */
		0xfd, 0,    0,	  0x96, 0,    0,    0,	  0,	0,    0,
		0,    0,    0,	  0,	0,    1, /* from */
		0x20, 0x01, 0x0d, 0xb8, 0,    0,    0,	  0,	0,    0,
		0,    0,    0,	  0,	0,    7, /* to */
		0x01, 0xbb, 0x9c, 0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0x50, 0x10, 0xff, 0xff, 0xe6, 0x81, 0,    0,
	};
	struct sl_tuple6 key = key_of(6, "2001:db8::7", "fd00:96::1");

	ck_assert_uint_eq(probe_frame(&key, 6, &flow, 0, frame), sizeof(want));
	ck_assert_mem_eq(frame, want, sizeof(want));
}
END_TEST

static uint32_t sequence_of(unsigned int number)
{
	struct sl_tuple6 key = key_of(4, "192.0.2.7", "10.96.0.1");
	uint32_t seq;

	probe_frame(&key, 4, &flow, number, frame);
	memcpy(&seq, frame + 14 + 20 + 4, sizeof(seq));
	return ntohl(seq);
}

START_TEST(two_in_a_row_are_never_in_one_window)
{
	for (unsigned int i = 0; i + 1 < SL_PROBES_MAX; i++)
		ck_assert_uint_eq(sequence_of(i + 1) - sequence_of(i), 1U << 31);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("probe");
	TCase *tc = tcase_create("frame");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(tc, ipv4);
	tcase_add_test(tc, ipv6);
	tcase_add_test(tc, two_in_a_row_are_never_in_one_window);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
