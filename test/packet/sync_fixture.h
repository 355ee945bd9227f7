/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A store, sync and real maps, and objects for them. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/checks.h"
#include "controlplane/sync.h"
#include "test/unit/objects.h"
#include "writer.h"

static struct config config;
static struct store *store;
static struct checks *checks;
static struct sync *sync_;
static struct node_own own;
static int addresses_changed;
static int addresses_fail; /* so many times */
static unsigned int retry_ms = 50;

static inline int on_addresses(void *context)
{
	(void)context;
	addresses_changed++;
	return addresses_fail && addresses_fail-- ? -ENOSPC : 0;
}

/* What `settled` was told last: the Service, and why it failed or "". */
static int n_settled;
static char settled_name[64], settled_why[512];

static inline void on_settled(void *context, const struct store_service *service, const char *why)
{
	ck_assert_ptr_eq(context, &n_settled);
	n_settled++;
	snprintf(settled_name, sizeof(settled_name), "%s", service->name);
	snprintf(settled_why, sizeof(settled_why), "%s", why ? why : "");
}

static inline void setup(void)
{
	struct sync_options options = {
		.retry_ms = retry_ms,
		.config = &config,
		.own = &own,
		.addresses_changed = on_addresses,
		.settled = on_settled,
		.settled_context = &n_settled,
	};

	writer_setup();
	config = (struct config) {
		.node_name = (char *)"n1",
		.source = CONFIG_KUBE,
		.masquerade = CONFIG_MASQUERADE_COMPATIBLE,
		.detect = CONFIG_DETECT_NODE_CIDR,
		.healthz_bind_address = (char *)"",
	};
	own = (struct node_own) { .snat = { .addr4 = inet_addr("192.0.2.1") } };
	addresses_changed = 0;
	n_settled = 0;
	addresses_fail = 0;
	store = store_new();
	options.loop = writer_loop();
	options.store = store;
	options.tables = tables;
	ck_assert_int_eq(checks_new(&(struct checks_options) { .loop = writer_loop(),
							       .config = &config,
							       .store = store },
				    &checks),
			 0);
	options.checks = checks;
	sync_ = sync_new(&options);
	ck_assert_ptr_nonnull(sync_);
}

static inline void teardown(void)
{
	sync_free(sync_);
	checks_free(checks);
	uv_run(writer_loop(), UV_RUN_NOWAIT);
	writer_teardown();
	store_free(store);
}

/* Lets it do what there is to do. */
static inline void go_on(void)
{
	sync_kick(sync_);
	for (int i = 0; i < 20; i++)
		uv_run(writer_loop(), UV_RUN_NOWAIT);
}

static inline void list_all(void)
{
	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++) {
		if (kind == OBJECT_NODE && config.source == CONFIG_KUBE)
			continue;
		store_list_begin(store, (enum object_kind)kind);
		if (kind == OBJECT_SERVICE)
			store_put_service(
				store,
				service_of("{'metadata':{'name':'web','namespace':'default'},"
					   "'spec':{'type':'LoadBalancer','clusterIP':'10.96.0.1',"
					   "'externalTrafficPolicy':'Local',"
					   "'ports':[{'name':'http','port':80}]},"
					   "'status':{'loadBalancer':{'ingress':[{'ip':"
					   "'198.51.100.1'}]}}}"));
		if (kind == OBJECT_SLICE)
			store_put_slice(
				store,
				slice_of("{'metadata':{'name':'web-1','namespace':'default',"
					 "'labels':{'kubernetes.io/service-name':'web'}},"
					 "'addressType':'IPv4','ports':[{'name':'http',"
					 "'port':8080}],'endpoints':["
					 "{'addresses':['10.244.1.1'],'nodeName':'n1','hints':"
					 "{'forZones':[{'name':'z1'}]}},"
					 "{'addresses':['10.244.2.1'],'nodeName':'n2','hints':"
					 "{'forZones':[{'name':'z2'}]}}]}"));
		store_list_end(store, (enum object_kind)kind);
	}
}

static inline void put_node(const char *labels, const char *spec, const char *addresses)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'n1','labels':{%s}},'spec':{%s},'status':{'addresses':[%s]}}",
		 labels, spec, addresses);
	ck_assert_int_ge(store_put_node(store, node_of(text)), 0);
	go_on();
}

#define ZONE(name)   "'topology.kubernetes.io/zone':'" name "'"
#define PODS(prefix) "'podCIDRs':['" prefix "']"
#define IP(addr)     "{'type':'InternalIP','address':'" addr "'}"

static inline struct sl_node node_entry(void)
{
	struct sl_node node;
	uint32_t zero = 0;

	ck_assert_int_eq(bpf_map_lookup_elem(datapath_map(dp, DATAPATH_node), &zero, &node), 0);
	return node;
}

/* A Service of TCP port 80, and a slice of so many endpoints. */
static inline void put_service(const char *name, const char *ip, int port, int n_endpoints)
{
	char text[4096];
	int len;

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'%s','namespace':'default'},'spec':{'clusterIP':'%s',"
		 "'ports':[{'name':'http','port':%d}]}}",
		 name, ip, port);
	ck_assert_int_ge(store_put_service(store, service_of(text)), 0);
	len = snprintf(text, sizeof(text),
		       "{'metadata':{'name':'%s-1','namespace':'default',"
		       "'labels':{'kubernetes.io/service-name':'%s'}},'addressType':'IPv4',"
		       "'ports':[{'name':'http','port':8080}],'endpoints':[",
		       name, name);
	for (int i = 0; i < n_endpoints; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len,
				"%s{'addresses':['10.244.9.%d']}", i ? "," : "", i + 1);
	snprintf(text + len, sizeof(text) - (size_t)len, "]}");
	ck_assert_int_ge(store_put_slice(store, slice_of(text)), 0);
}

static inline json_int_t failed(void)
{
	json_t *programmed = json_object();
	json_int_t n;

	sync_describe(sync_, programmed);
	n = json_integer_value(json_object_get(programmed, "failed"));
	json_decref(programmed);
	return n;
}
