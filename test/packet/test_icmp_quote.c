/* SPDX-License-Identifier: Apache-2.0 */

/* ICMP errors that quote odd packets. */

#include "test/packet/icmp_fixture.h"

/* Runs the change on an answer as the client and as the backend saw it. */
static void assert_follows_changed(const struct place *p, void (*change)(struct frame *f))
{
	struct frame old = frame_udp(turned(at_client(p)), 40);
	struct frame new = frame_udp(turned(at_backend(p)), 40);

	open_udp(p);
	change(&old);
	change(&new);
	assert_follows(p, &old, &new, QUOTE_ALL);
}

static void assert_left_changed(const struct place *p, void (*change)(struct frame *f))
{
	struct frame about = frame_udp(turned(at_client(p)), 40), f;

	open_udp(p);
	change(&about);
	f = frame_icmp(p->client, p->vip, &p->kinds[0], &about, QUOTE_ALL);
	assert_left(&f);
}

static void add_options(struct frame *f)
{
	frame_add_options(f, 10);
}

static void add_hop_options(struct frame *f)
{
	frame_add_long_extension(f, IPPROTO_HOPOPTS, 64);
	frame_add_extension(f, IPPROTO_DSTOPTS, 0);
}

static void make_first_fragment(struct frame *f)
{
	if (f->data[12] == 0x08)
		frame_set_fragment(f, 0x2000);
	else
		frame_add_extension(f, IPPROTO_FRAGMENT, 1);
}

static void make_later_fragment(struct frame *f)
{
	if (f->data[12] == 0x08)
		frame_set_fragment(f, 100);
	else
		frame_add_extension(f, IPPROTO_FRAGMENT, 100 << 3);
}

static void route_elsewhere(struct frame *f)
{
	frame_add_extension(f, IPPROTO_ROUTING, 1 /* segments left */);
}

START_TEST(options_of_the_quoted_packet_are_skipped)
{
	assert_follows_changed(&places[0], add_options);
}
END_TEST

START_TEST(extension_headers_of_the_quoted_packet_are_skipped)
{
	assert_follows_changed(&places[1], add_hop_options);
}
END_TEST

START_TEST(a_quoted_first_fragment_has_ports)
{
	assert_follows_changed(&places[_i], make_first_fragment);
}
END_TEST

START_TEST(a_quoted_udp_packet_without_a_checksum_gets_none)
{
	assert_follows_changed(&places[0], frame_clear_udp_check);
}
END_TEST

START_TEST(a_quoted_later_fragment_is_left_untouched)
{
	assert_left_changed(&places[_i], make_later_fragment);
}
END_TEST

START_TEST(a_quoted_packet_that_goes_elsewhere_by_a_routing_header_is_left_untouched)
{
	assert_left_changed(&places[1], route_elsewhere);
}
END_TEST

START_TEST(options_of_the_error_itself_are_skipped)
{
	const struct place *p = &places[_i];
	struct frame old = frame_udp(turned(at_client(p)), 40);
	struct frame new = frame_udp(turned(at_backend(p)), 40);
	struct frame f = frame_icmp(p->client, p->vip, &p->kinds[1], &old, QUOTE_ALL);
	struct frame want = frame_icmp(p->client, p->pod, &p->kinds[1], &new, QUOTE_ALL);

	open_udp(p);
	if (_i) {
		add_hop_options(&f);
		add_hop_options(&want);
	} else {
		add_options(&f);
		add_options(&want);
	}
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(fragments_of_an_error_are_left_untouched)
{
	const struct place *p = &places[_i];
	struct frame about = frame_udp(turned(at_client(p)), 40);
	struct frame f = frame_icmp(p->client, p->vip, &p->kinds[0], &about, QUOTE_ALL);

	open_udp(p);
	make_first_fragment(&f);
	assert_left(&f);
}
END_TEST

/* Cut anywhere in front of its eighth byte of transport header. */
START_TEST(an_error_that_quotes_too_little_is_left_untouched)
{
	for (int i = 0; i < 2; i++) {
		const struct place *p = &places[i];
		struct frame about = frame_udp(turned(at_client(p)), 40);

		open_udp(p);
		for (uint32_t quote = 0; quote < p->header + 8; quote++) {
			struct frame f = frame_icmp(p->client, p->vip, &p->kinds[0], &about, quote);

			assert_left(&f);
		}
	}
}
END_TEST

START_TEST(padding_behind_the_error_is_no_quote)
{
	const struct place *p = &places[0];
	struct frame old = frame_tcp(turned(at_client(p)), ACK, 1, 1, 0);
	struct frame new = frame_tcp(turned(at_backend(p)), ACK, 1, 1, 0);
	struct frame syn = frame_tcp(at_client(p), SYN, 1000, 0, 0);
	struct frame f = frame_icmp(p->client, p->vip, &p->kinds[0], &old, 28);
	struct frame want = frame_icmp(p->client, p->pod, &p->kinds[0], &new, 28);

	vip(p, IPPROTO_TCP, p->pod);
	run_ingress(harness.up0, &syn);
	f.len += 20;
	want.len += 20;
	memset(f.data + f.len - 20, 0xaa, 20);
	memset(want.data + want.len - 20, 0xaa, 20);
	ck_assert_int_eq(run_ingress(harness.up0, &f), TC_NEXT);
	frame_assert_same(&f, &want);
}
END_TEST

START_TEST(a_quoted_sctp_packet_has_its_checksum_translated)
{
	const struct place *p = &places[_i];
	struct frame old = frame_sctp(turned(at_client(p)), 0, 7, 400);
	struct frame new = frame_sctp(turned(at_backend(p)), 0, 7, 400);
	struct frame init = frame_sctp(at_client(p), 1, 99, 20);

	vip(p, IPPROTO_SCTP, p->pod);
	ck_assert_int_eq(run_ingress(harness.up0, &init), TC_NEXT);
	assert_follows(p, &old, &new, QUOTE_ALL);
	assert_follows(p, &old, &new, p->header + 12);
	assert_follows(p, &old, &new, p->header + 8);
}
END_TEST

START_TEST(a_wrong_checksum_stays_wrong)
{
	const struct place *p = &places[_i];
	struct frame about = frame_udp(turned(at_client(p)), 40);
	struct frame f = frame_icmp(p->client, p->vip, &p->kinds[0], &about, QUOTE_ALL);

	open_udp(p);
	f.data[f.len - 1] ^= 0x10;
	ck_assert_int_eq(run_xdp(&f), XDP_PASS);
	ck_assert(!frame_checksums_right(&f));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("icmp quotes");
	TCase *tcase = harness_case(suite, "odd quotes");

	tcase_add_test(tcase, options_of_the_quoted_packet_are_skipped);
	tcase_add_test(tcase, extension_headers_of_the_quoted_packet_are_skipped);
	add_for_both(tcase, a_quoted_first_fragment_has_ports);
	tcase_add_test(tcase, a_quoted_udp_packet_without_a_checksum_gets_none);
	add_for_both(tcase, a_quoted_later_fragment_is_left_untouched);
	tcase_add_test(tcase,
		       a_quoted_packet_that_goes_elsewhere_by_a_routing_header_is_left_untouched);
	add_for_both(tcase, options_of_the_error_itself_are_skipped);
	add_for_both(tcase, fragments_of_an_error_are_left_untouched);
	tcase_add_test(tcase, an_error_that_quotes_too_little_is_left_untouched);
	tcase_add_test(tcase, padding_behind_the_error_is_no_quote);
	add_for_both(tcase, a_quoted_sctp_packet_has_its_checksum_translated);
	add_for_both(tcase, a_wrong_checksum_stays_wrong);
	return harness_run(suite);
}
