/* SPDX-License-Identifier: Apache-2.0 */

/* How people read the document Explanation. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "objects.h"
#include "tools/lbctl/lbctl.h"

static char *output;

/* `document` is JSON with ' in place of ". */
static void print(const char *document)
{
	struct lbctl lbctl = { .err = stderr };
	json_t *json = json_of(document);
	size_t len;

	free(output);
	lbctl.out = open_memstream(&output, &len);
	ck_assert_int_eq(output_document(&lbctl, &verb_explain, json), LBCTL_OK);
	fclose(lbctl.out);
	json_decref(json);
}

static void teardown(void)
{
	free(output);
	output = NULL;
}

#define PACKET "'packet':{'protocol':'TCP','from':'10.0.1.7','to':'10.96.0.1:80',"
#define STEPS  "'steps':[{'rules':['S-110','S-119'],'text':'Because.'},{'rules':[],'text':'So.'}]"
#define FORWARD                                                                                    \
	"{" PACKET                                                                                 \
	"'interface':'veth1','local':false},'summary':'goes there','verdict':'forward',"           \
	"'frontend':{'address':'10.96.0.1:80','kind':'clusterIP'},'set':'cluster',"                \
	"'endpoints':[{'address':'10.0.1.1:80','local':true,'snat':true,'chosen':false},"          \
	"{'address':'10.0.2.1:80','local':false,'snat':false,'chosen':true}]," STEPS

START_TEST(a_packet_that_goes_on_is_told_with_its_endpoints)
{
	print(FORWARD ",'chosen':'10.0.2.1:80','snat':false}");
	ck_assert_str_eq(output, "Packet:    TCP 10.0.1.7 -> 10.96.0.1:80, in at veth1\n"
				 "Verdict:   goes there\n"
				 "Frontend:  10.96.0.1:80 (clusterIP)\n"
				 "Set:       cluster\n"
				 "Chosen:    10.0.2.1:80\n"
				 "Source:    kept\n"
				 "\n"
				 "Why:\n"
				 "  1. Because. [S-110, S-119]\n"
				 "  2. So.\n"
				 "\n"
				 "ENDPOINT      LOCAL   SNAT   CHOSEN\n"
				 "10.0.1.1:80   yes     yes    no\n"
				 "10.0.2.1:80   no      no     yes\n");
}
END_TEST

START_TEST(what_is_not_known_is_not_claimed)
{
	print(FORWARD ",'chosen':null,'snat':null}");
	ck_assert_ptr_nonnull(strstr(output, "Chosen:    depends, see below\n"));
	ck_assert_ptr_nonnull(strstr(output, "Source:    replaced for some endpoints\n"));
	print(FORWARD ",'chosen':null,'snat':true}");
	ck_assert_ptr_nonnull(strstr(output, "Source:    replaced by an address of this node\n"));
}
END_TEST

START_TEST(a_packet_that_is_lost_is_told_without_endpoints)
{
	print("{" PACKET "'interface':null,'local':true},'summary':'dropped: it is','set':null,"
	      "'frontend':null,'endpoints':[],'chosen':null,'snat':false," STEPS "}");
	ck_assert_str_eq(output,
			 "Packet:    TCP 10.0.1.7 -> 10.96.0.1:80, from a process of this node\n"
			 "Verdict:   dropped: it is\n"
			 "\n"
			 "Why:\n"
			 "  1. Because. [S-110, S-119]\n"
			 "  2. So.\n");
}
END_TEST

START_TEST(the_programs_answer_is_told)
{
	print(FORWARD ",'chosen':null,'snat':false,'agrees':true,'datapath':{}}");
	ck_assert_ptr_nonnull(strstr(output, "\nThe loaded program, asked with the real maps, "
					     "decides the same.\n"));
	ck_assert_ptr_null(strstr(output, "BUG"));
}
END_TEST

START_TEST(a_disagreement_is_called_a_bug)
{
	print(FORWARD ",'chosen':null,'snat':false,'agrees':false,'datapath':{'verdict':'drop',"
		      "'reason':'unallocated','service':null,'path':null,'set':null,"
		      "'backend':null,'masquerade':false}}");
	ck_assert_ptr_nonnull(strstr(output, "\nBUG: the loaded program decides otherwise"));
	ck_assert_ptr_nonnull(strstr(output, "verdict drop, reason unallocated, service -, path -, "
					     "set -, backend -, masquerade no\n"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lbctl_explain");
	TCase *tc = tcase_create("table");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, a_packet_that_goes_on_is_told_with_its_endpoints);
	tcase_add_test(tc, what_is_not_known_is_not_claimed);
	tcase_add_test(tc, a_packet_that_is_lost_is_told_without_endpoints);
	tcase_add_test(tc, the_programs_answer_is_told);
	tcase_add_test(tc, a_disagreement_is_called_a_bug);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
