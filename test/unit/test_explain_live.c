/* SPDX-License-Identifier: Apache-2.0 */

/* When a decision and the program's answer agree, with answers made up here. */

#include <arpa/inet.h>

#include "controlplane/explain/live.h"
#include "explain_fixture.h"

static struct explained asked;
static struct explain_answer answer;

/* A decision, and an answer that is the same but for what a test changes. */
static void ask(const char *from, const char *to)
{
	const struct explain_query query = { .from = from, .to = to, .iface = "veth1" };
	const struct decision *d = &asked.decision;

	asked = explain_on(NULL, &query);
	answer = (struct explain_answer) {
		.got = { .verdict = d->verdict,
			 .service = d->service ? 7 : 0,
			 .kind = d->frontend ? d->frontend->kind : 0,
			 .path = d->path,
			 .choice = d->choice },
		.identity = { .namespace_ = "a",
			      .port = "http",
			      .proto = IPPROTO_TCP,
			      .family = 4 },
	};
	if (d->service)
		strcpy(answer.identity.service, d->service->name);
	if (d->n_endpoints) {
		const struct decide_endpoint *e =
			&d->endpoints[d->chosen == DECIDE_UNKNOWN ? 0 : d->chosen];

		answer.got.backend = 9;
		answer.got.masquerade = e->masquerade;
		answer.backend = (struct sl_backend) { .addr = e->backend->addr,
						       .port = e->backend->port,
						       .family = 4 };
	}
}

static void done(void)
{
	explained_done(&asked);
}

static bool agrees(void)
{
	return explain_agrees(&asked.packet, &asked.decision, &answer);
}

START_TEST(the_same_answer_agrees)
{
	static const char *const places[] = { "10.96.0.1:80", "198.51.100.5:80", "192.0.2.3:80",
					      "10.96.0.4:80", "10.96.0.1:81",	 "10.96.9.9:80",
					      "10.0.2.1:80" };

	for (size_t i = 0; i < SL_COUNT(places); i++) {
		ask("10.0.1.77:4000", places[i]);
		ck_assert_msg(agrees(), "%s", places[i]);
		done();
	}
}
END_TEST

#define DIFFERS(field, value)                                                                      \
	do {                                                                                       \
		ask("10.0.1.77:4000", "10.96.0.1:80");                                             \
		answer.field = (value);                                                            \
		ck_assert_msg(!agrees(), #field);                                                  \
		done();                                                                            \
	} while (0)

START_TEST(an_answer_that_differs_in_anything_disagrees)
{
	DIFFERS(got.verdict, SL_LEAVE);
	DIFFERS(got.verdict, SL_DROP_NO_LOCAL);
	DIFFERS(got.kind, SL_KIND_NODE_PORT);
	DIFFERS(got.path, SL_PATH_CLUSTER);
	DIFFERS(got.choice, SL_CHOOSE_LOCAL);
	DIFFERS(got.choice, SL_CHOOSE_CLUSTER | SL_MASQUERADE);
	DIFFERS(got.masquerade, 1);
	DIFFERS(identity.namespace_[0], 'b');
	DIFFERS(identity.service[0], 'v');
	DIFFERS(identity.port[0], 'x');
	DIFFERS(identity.proto, IPPROTO_UDP);
	DIFFERS(identity.family, 6);
	DIFFERS(backend.port, htons(81));
	DIFFERS(backend.addr, addr_of("10.0.3.1"));
}
END_TEST

START_TEST(an_answer_with_a_service_for_nobodys_address_disagrees)
{
	ask("10.0.1.77", "10.0.2.1:80");
	ck_assert(agrees());
	answer.got.service = 7;
	ck_assert(!agrees());
	done();
}
END_TEST

START_TEST(another_endpoint_disagrees_only_where_the_choice_is_known)
{
	ask("10.0.1.77:4000", "10.96.0.1:80");
	answer.backend.addr = asked.decision.endpoints[!asked.decision.chosen].backend->addr;
	ck_assert(!agrees());
	done();

	ask("10.0.1.77", "10.96.0.1:80");
	answer.backend.addr = asked.decision.endpoints[1].backend->addr;
	ck_assert(agrees());
	done();
}
END_TEST

static const char *last_step(void)
{
	return asked.decision.steps[asked.decision.n_steps - 1].text;
}

START_TEST(whom_affinity_remembers_is_learnt_from_the_answer)
{
	ask("10.0.1.77:4000", "10.96.0.6:80");
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(asked.decision.chosen, DECIDE_UNKNOWN);
		answer.backend.addr = asked.decision.endpoints[i].backend->addr;
		explain_settle(&asked.packet, &asked.decision, &answer);
		ck_assert_uint_eq(asked.decision.chosen, i);
		ck_assert_msg(strstr(last_step(), i == asked.decision.pick
							  ? "which is also what the hash picks"
							  : "as remembered"),
			      "%s", last_step());
		asked.decision.chosen = DECIDE_UNKNOWN;
	}
	done();
}
END_TEST

START_TEST(without_affinity_nothing_is_learnt)
{
	ask("10.0.1.77", "10.96.0.1:80");
	explain_settle(&asked.packet, &asked.decision, &answer);
	ck_assert_uint_eq(asked.decision.chosen, DECIDE_UNKNOWN);
	done();
}
END_TEST

START_TEST(the_answer_is_put_into_the_document)
{
	json_t *document = json_object(), *want;

	ask("10.0.1.77:4000", "192.0.2.3:80");
	answer.got.verdict = SL_DROP_NO_LOCAL;
	ck_assert_int_eq(explain_add_answer(document, &asked.packet, &asked.decision, &answer), 0);
	want = json_of("{'agrees':false,'datapath':{'verdict':'drop','reason':'no_local_endpoints',"
		       "'service':'a/away:http','path':'pod','set':null,'backend':'10.0.2.1:8080',"
		       "'masquerade':false}}");
	ck_assert_msg(json_equal(document, want), "%s", json_dumps(document, 0));
	json_decref(want);
	json_decref(document);
	done();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("explain_live");
	TCase *tc = tcase_create("answers");

	tcase_add_test(tc, the_same_answer_agrees);
	tcase_add_test(tc, an_answer_that_differs_in_anything_disagrees);
	tcase_add_test(tc, an_answer_with_a_service_for_nobodys_address_disagrees);
	tcase_add_test(tc, another_endpoint_disagrees_only_where_the_choice_is_known);
	tcase_add_test(tc, whom_affinity_remembers_is_learnt_from_the_answer);
	tcase_add_test(tc, without_affinity_nothing_is_learnt);
	tcase_add_test(tc, the_answer_is_put_into_the_document);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
