/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/source/apply.h"
#include "controlplane/source/defaults.h"
#include "controlplane/source/yaml.h"

static struct store *store;
static char error[OBJECT_ERROR_MAX];

static void make(void)
{
	store = store_new();
	ck_assert_ptr_nonnull(store);
}

static void unmake(void)
{
	store_free(store);
}

static json_t *object_of(const char *text)
{
	json_t *documents = NULL;

	ck_assert_int_eq(yaml_parse("t", text, strlen(text), &documents, error), 0);
	json_t *object = json_incref(json_array_get(documents, 0));
	json_decref(documents);
	return object;
}

static int apply(const char *text)
{
	json_t *object = object_of(text);
	int changed = apply_object(store, object, false, error);

	json_decref(object);
	return changed;
}

static bool apply_public(const char *text, bool removed)
{
	json_t *object = object_of(text);
	bool changed = source_apply(store, object, removed);

	json_decref(object);
	return changed;
}

#define SERVICE(labels, ip, port)                                                                  \
	"{apiVersion: v1, kind: Service, metadata: {namespace: default, name: web, labels: "       \
	"{" labels "}}, spec: {clusterIP: " ip ", ports: [{port: " port ", protocol: TCP}]}}"
#define SLICE(labels)                                                                              \
	"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: default, "   \
	"name: web-1, labels: {kubernetes.io/service-name: web" labels "}}, addressType: IPv4, "   \
	"ports: [{name: '', port: 8080, protocol: TCP}], endpoints: [{addresses: [10.0.0.1]}]}"

static uint16_t known_port(void)
{
	struct store_service known;

	store_touch_all(store);
	if (!store_next_changed(store, &known) || !known.service || known.service->n_ports == 0)
		return 0;
	return known.service->ports[0].port;
}

START_TEST(each_kind_goes_to_its_place)
{
	ck_assert_int_eq(apply(SERVICE("", "10.96.0.1", "80")), 1);
	ck_assert_int_eq(apply(SLICE("")), 1);
	ck_assert_int_eq(apply("{apiVersion: v1, kind: Node, metadata: {name: n1}}"), 1);
	ck_assert_int_eq(apply("{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: "
			       "{name: kubernetes}, spec: {cidrs: [10.96.0.0/12]}}"),
			 1);
	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++)
		ck_assert_uint_eq(store_count(store, (enum object_kind)kind), 1);
}
END_TEST

START_TEST(an_equal_object_changes_nothing)
{
	ck_assert(apply_public(SERVICE("", "10.96.0.1", "80"), false));
	ck_assert(!apply_public(SERVICE("", "10.96.0.1", "80"), false));
	ck_assert(apply_public(SERVICE("", "10.96.0.1", "81"), false));
}
END_TEST

START_TEST(a_removed_object_leaves_the_store)
{
	apply(SERVICE("", "10.96.0.1", "80"));
	apply(SLICE(""));
	ck_assert(apply_public(SERVICE("", "10.96.0.1", "80"), true));
	ck_assert(apply_public(SLICE(""), true));
	ck_assert(!apply_public(SLICE(""), true));
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 0);
	ck_assert_uint_eq(store_count(store, OBJECT_SLICE), 0);
}
END_TEST

static const char *const others[] = {
	"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: b}}",
	"{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: a, namespace: b}}",
	"{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice, metadata: {name: a}}",
	"{apiVersion: networking.k8s.io/v1beta1, kind: ServiceCIDR, metadata: {name: a}}",
	"{apiVersion: v1, kind: Endpoints, metadata: {name: web, namespace: default}}",
};

START_TEST(other_kinds_are_ignored)
{
	ck_assert_int_eq(apply(others[_i]), 0);
	ck_assert_str_eq(error, "");
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 0);
}
END_TEST

static const struct {
	const char *text, *wanted;
} unnamed[] = {
	{ "{a: b}", "not a Kubernetes object: no kind" },
	{ "[1, 2]", "not a Kubernetes object: no kind" },
	{ "{kind: Service}", "not a Kubernetes object: no apiVersion" },
	{ "{apiVersion: v1, kind: Service}", "Service : no metadata.name" },
	{ "{apiVersion: v1, kind: Service, metadata: {name: web}}",
	  "Service web: no metadata.namespace" },
	{ "{apiVersion: v1, kind: Node, metadata: {name: ''}}", "Node : no metadata.name" },
	{ "{apiVersion: v1, kind: Service, metadata: 5}", "Service : no metadata.name" },
};

START_TEST(an_object_without_identity_is_refused_with_the_field)
{
	ck_assert_int_eq(apply(unnamed[_i].text), -EINVAL);
	ck_assert_str_eq(error, unnamed[_i].wanted);
}
END_TEST

START_TEST(a_bad_update_keeps_the_old_version)
{
	apply(SERVICE("", "10.96.0.1", "80"));
	ck_assert_int_eq(apply(SERVICE("", "10.96.0.1", "0")), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "Service default/web"));
	ck_assert_ptr_nonnull(strstr(error, "port"));
	ck_assert_uint_eq(known_port(), 80);
}
END_TEST

START_TEST(a_bad_update_in_a_list_keeps_the_old_version)
{
	apply(SERVICE("", "10.96.0.1", "80"));
	store_list_begin(store, OBJECT_SERVICE);
	ck_assert(!apply_public(SERVICE("", "10.96.0.1", "0"), false));
	ck_assert_uint_eq(store_list_end(store, OBJECT_SERVICE), 0);
	ck_assert_uint_eq(known_port(), 80);

	store_list_begin(store, OBJECT_SERVICE);
	ck_assert_uint_eq(store_list_end(store, OBJECT_SERVICE), 1);
}
END_TEST

/* S-001, S-003: as a watch with the selectors would have it. */
START_TEST(a_service_of_another_proxy_is_as_if_deleted)
{
	apply(SERVICE("", "10.96.0.1", "80"));
	ck_assert_int_eq(
		apply(SERVICE("service.kubernetes.io/service-proxy-name: ''", "10.96.0.1", "80")),
		1);
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 0);
	ck_assert_int_eq(apply(SERVICE("", "10.96.0.1", "80")), 1);
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 1);
}
END_TEST

START_TEST(a_headless_service_is_as_if_deleted)
{
	apply(SERVICE("", "10.96.0.1", "80"));
	ck_assert_int_eq(apply(SERVICE("", "None", "80")), 1);
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 0);
}
END_TEST

/* S-002: the label counts on slices and means nothing on a Service. */
START_TEST(a_slice_labelled_headless_is_as_if_deleted)
{
	apply(SLICE(""));
	ck_assert_int_eq(apply(SLICE(", service.kubernetes.io/headless: ''")), 1);
	ck_assert_uint_eq(store_count(store, OBJECT_SLICE), 0);
	ck_assert_int_eq(apply(SERVICE("service.kubernetes.io/headless: ''", "10.96.0.1", "80")),
			 1);
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 1);
}
END_TEST

static void expect_filled(const char *text, const char *wanted)
{
	json_t *object = object_of(text);
	json_t *filled = object_of(wanted);

	ck_assert_int_eq(defaults_fill(object), 0);
	if (!json_equal(object, filled))
		ck_abort_msg("is %s", json_dumps(object, JSON_COMPACT));
	json_decref(object);
	json_decref(filled);
}

START_TEST(a_service_gets_the_defaults_of_an_api_server)
{
	expect_filled(
		"{kind: Service, metadata: {name: a}, spec: {clusterIPs: ['10.0.0.1'], "
		"sessionAffinity: ClientIP, ports: [{port: 1}, {port: 2, protocol: UDP}]}}",
		"{kind: Service, metadata: {name: a, namespace: default}, spec: "
		"{clusterIPs: ['10.0.0.1'], clusterIP: '10.0.0.1', sessionAffinity: ClientIP, "
		"sessionAffinityConfig: {clientIP: {timeoutSeconds: 10800}}, "
		"ports: [{port: 1, protocol: TCP}, {port: 2, protocol: UDP}]}}");
}
END_TEST

START_TEST(a_slice_gets_the_defaults_of_an_api_server)
{
	expect_filled("{kind: EndpointSlice, metadata: {namespace: null}, ports: [{port: 1}, "
		      "{name: x, protocol: SCTP}]}",
		      "{kind: EndpointSlice, metadata: {namespace: default}, ports: [{port: 1, "
		      "name: '', protocol: TCP}, {name: x, protocol: SCTP}]}");
}
END_TEST

START_TEST(defaults_leave_alone_what_is_written)
{
	static const char *const texts[] = {
		"{kind: Service, metadata: {namespace: x}, spec: {clusterIP: None, "
		"sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: "
		"{timeoutSeconds: 5}}}}",
		"{kind: Service, metadata: 5, spec: [], ports: 7}",
		"{kind: Service, spec: {ports: [7], sessionAffinity: ClientIP, "
		"sessionAffinityConfig: 3}}",
		"{kind: Node, metadata: {name: n}}",
	};

	for (size_t i = 0; i < SL_COUNT(texts); i++)
		expect_filled(texts[i], texts[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("apply");
	TCase *tc = tcase_create("apply");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(tc, make, unmake);
	tcase_add_test(tc, each_kind_goes_to_its_place);
	tcase_add_test(tc, an_equal_object_changes_nothing);
	tcase_add_test(tc, a_removed_object_leaves_the_store);
	tcase_add_loop_test(tc, other_kinds_are_ignored, 0, SL_COUNT(others));
	tcase_add_loop_test(tc, an_object_without_identity_is_refused_with_the_field, 0,
			    SL_COUNT(unnamed));
	tcase_add_test(tc, a_bad_update_keeps_the_old_version);
	tcase_add_test(tc, a_bad_update_in_a_list_keeps_the_old_version);
	tcase_add_test(tc, a_service_of_another_proxy_is_as_if_deleted);
	tcase_add_test(tc, a_headless_service_is_as_if_deleted);
	tcase_add_test(tc, a_slice_labelled_headless_is_as_if_deleted);
	tcase_add_test(tc, a_service_gets_the_defaults_of_an_api_server);
	tcase_add_test(tc, a_slice_gets_the_defaults_of_an_api_server);
	tcase_add_test(tc, defaults_leave_alone_what_is_written);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
