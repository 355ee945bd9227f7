/* SPDX-License-Identifier: Apache-2.0 */

/* Any JSON as an object of each kind, and on its way into the store. */

#include <errno.h>
#include <string.h>

#include "controlplane/source/apply.h"
#include "controlplane/source/defaults.h"
#include "controlplane/store/equal.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
	"null",
	"true",
	"0",
	"-1",
	"65535",
	"65536",
	"1e9",
	"ClusterIP",
	"NodePort",
	"LoadBalancer",
	"ExternalName",
	"None",
	"IPv4",
	"IPv6",
	"FQDN",
	"TCP",
	"UDP",
	"SCTP",
	"Local",
	"Cluster",
	"ClientIP",
	"VIP",
	"Proxy",
	"10.96.0.1",
	"010.0.0.1",
	"0.0.0.0",
	"::1",
	"::ffff:10.0.0.1",
	"fd00::1",
	"10.0.0.0/8",
	"0.0.0.0/0",
	"::/0",
	"192.168.1.1/33",
	"http",
	"web",
	"default",
	"name",
	"namespace",
	"port",
	"ports",
	"nodePort",
	"protocol",
	"addresses",
	"conditions",
	"ready",
	"serving",
	"terminating",
	"hints",
	"forZones",
	"forNodes",
	"externalIPs",
	"cidrs",
	"sluice.dev/on-endpoint-removal",
	"drain=1h30m",
	"drain=99999999999s",
	"reset",
	"sluice.dev/source-ranges",
	"all",
	"deletionTimestamp",
	"taints",
	"ToBeDeletedByClusterAutoscaler",
	"Service",
	"EndpointSlice",
	"Node",
	"ServiceCIDR",
	"v1",
	"discovery.k8s.io/v1",
	"networking.k8s.io/v1",
	"kubernetes.io/service-name",
	"service.kubernetes.io/service-proxy-name",
	"loadBalancerSourceRanges",
	NULL,
};

/* A message is one line that can be printed, whatever the object holds. */
static void check_error(const char error[OBJECT_ERROR_MAX], bool wanted)
{
	FUZZ_CHECK(memchr(error, '\0', OBJECT_ERROR_MAX));
	FUZZ_CHECK(*error || !wanted);
	for (; *error; error++)
		FUZZ_CHECK((unsigned char)*error >= ' ' && *error != 0x7f);
}

/* Parses twice: the results are equal, or both fail and give nothing. */
#define TRY(type)                                                                                  \
	static void try_##type(const json_t *json)                                                 \
	{                                                                                          \
		char error[OBJECT_ERROR_MAX];                                                      \
		sl_auto(type) a = NULL;                                                            \
		sl_auto(type) b = NULL;                                                            \
		int err = type##_parse(json, &a, error);                                           \
                                                                                                   \
		check_error(error, err);                                                           \
		FUZZ_CHECK(type##_parse(json, &b, error) == err);                                  \
		FUZZ_CHECK(!a == (err != 0) && !b == (err != 0));                                  \
		FUZZ_CHECK(err || type##_equal(a, b));                                             \
	}

TRY(service)
TRY(slice)
TRY(node)
TRY(service_cidr)

/* Put twice, an object changes the store once; removed, it leaves nothing. */
static void try_store(json_t *json)
{
	sl_auto(store) store = store_new();
	char error[OBJECT_ERROR_MAX];
	struct store_service changed;
	struct apply_id id;

	FUZZ_CHECK(store && !defaults_fill(json));

	int identified = apply_identify(json, &id, error);
	int first = apply_object(store, json, false, error);

	FUZZ_CHECK(first == 0 || first == 1 || first == -EINVAL);
	FUZZ_CHECK(first != 1 || !identified);
	FUZZ_CHECK(apply_object(store, json, false, error) == (first < 0 ? first : 0));
	while (store_next_changed(store, &changed))
		FUZZ_CHECK(changed.service || changed.n_slices);
	if (!identified)
		FUZZ_CHECK(apply_object(store, json, true, error) == (first == 1));
	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++)
		FUZZ_CHECK(store_count(store, (enum object_kind)kind) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

	if (!json)
		return 0;
	try_service(json);
	try_slice(json);
	try_node(json);
	try_service_cidr(json);
	try_store(json);
	json_decref(json);
	return 0;
}
