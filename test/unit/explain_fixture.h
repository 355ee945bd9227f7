/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A node and Services to explain: one of each policy. */

#include <netinet/in.h>
#include <stdio.h>

#include "controlplane/explain/document.h"
#include "controlplane/explain/profile.h"
#include "controlplane/explain/query.h"
#include "controlplane/source/apply.h"
#include "objects.h"

#define EXPLAIN_PROFILE                                                                            \
	"{'nodeName':'n1','masquerade':'compatible','detectLocalMode':'clusterCIDR',"              \
	"'clusterCIDRs':['10.0.0.0/16'],'addresses':['192.168.0.2'],"                              \
	"'nodePortAddresses':['primary'],'serviceCIDRs':['10.96.0.0/16'],"                         \
	"'interfaces':{'lo':['127.0.0.1/8'],'eth0':['192.168.0.2/24'],'eth1':['192.168.1.2/24']}}"

#define LOCAL  "{'addresses':['10.0.1.1'],'nodeName':'n1'}"
#define REMOTE "{'addresses':['10.0.2.1'],'nodeName':'n2'}"
#define OWN    "{'addresses':['192.168.0.2'],'nodeName':'n1'}"
#define UNREADY                                                                                    \
	"{'addresses':['10.0.2.9'],'nodeName':'n2','conditions':{'ready':false,'serving':true}}"
#define POLICIES "'internalTrafficPolicy':'Local','externalTrafficPolicy':'Local',"

/* Name, number (in every address and port of it), more of the spec, endpoints. */
static const struct {
	const char *name;
	int number;
	const char *spec, *endpoints;
} explain_services[] = {
	{ "web", 1, "", LOCAL "," REMOTE },
	{ "local", 2, POLICIES, LOCAL "," REMOTE },
	{ "away", 3, POLICIES, REMOTE },
	{ "none", 4, "", "" },
	{ "ranged", 5, "'loadBalancerSourceRanges':['203.0.113.0/24'],", LOCAL "," UNREADY },
	{ "sticky", 6,
	  "'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':60}}"
	  ",",
	  LOCAL "," REMOTE },
	{ "host", 7, "", OWN },
};

static inline void explain_put(struct store *store, const char *text)
{
	char why[OBJECT_ERROR_MAX];
	json_t *json = json_of(text);

	ck_assert_msg(apply_object(store, json, false, why) >= 0, "%s", why);
	json_decref(json);
}

static inline void explain_put_service(struct store *store, const char *name, int number,
				       const char *spec, const char *endpoints)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{'apiVersion':'v1','kind':'Service','metadata':{'name':'%s','namespace':'a'},"
		 "'spec':{%s'type':'LoadBalancer','clusterIP':'10.96.0.%d','clusterIPs':"
		 "['10.96.0.%d'],'externalIPs':['192.0.2.%d'],'ports':[{'name':'http',"
		 "'protocol':'TCP','port':80,'nodePort':3000%d}]},"
		 "'status':{'loadBalancer':{'ingress':[{'ip':'198.51.100.%d'}]}}}",
		 name, spec, number, number, number, number, number);
	explain_put(store, text);
	snprintf(text, sizeof(text),
		 "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':"
		 "'%s-1','namespace':'a','labels':{'kubernetes.io/service-name':'%s'}},"
		 "'addressType':'IPv4','ports':[{'name':'http','protocol':'TCP','port':8080}],"
		 "'endpoints':[%s]}",
		 name, name, endpoints);
	explain_put(store, text);
}

static inline struct store *explain_store(void)
{
	struct store *store = store_new();

	for (size_t i = 0; i < SL_COUNT(explain_services); i++)
		explain_put_service(store, explain_services[i].name, explain_services[i].number,
				    explain_services[i].spec, explain_services[i].endpoints);
	return store;
}

/* What a decision points into. */
struct explained {
	struct store *store;
	struct profile *profile;
	struct world *world;
	struct decide_packet packet;
	struct decision decision;
};

/* Decides by the fixture's Services; `change` is put over its profile. */
static inline struct explained explain_on(const char *change, const struct explain_query *query)
{
	struct explained e = { .store = explain_store() };
	json_t *json = json_of(EXPLAIN_PROFILE), *over = change ? json_of(change) : json_object();
	char why[512];

	ck_assert_int_eq(json_object_update(json, over), 0);
	ck_assert_msg(!profile_new(json, e.store, &e.profile, why), "%s", why);
	json_decref(json);
	json_decref(over);
	ck_assert_msg(!explain_query_parse(query, &e.packet, why), "%s", why);
	profile_place(e.profile, &e.packet);
	ck_assert_int_eq(world_new(e.store, &e.profile->world, &e.packet, &e.world), 0);
	ck_assert_int_eq(decide(&e.world->decide, &e.packet, &e.decision), 0);
	return e;
}

static inline void explained_done(struct explained *e)
{
	decision_done(&e->decision);
	world_free(e->world);
	profile_free(e->profile);
	store_free(e->store);
}

/* "S-022 S-130 ...": the rules of all steps. */
static inline const char *explained_rules(const struct explained *e, char text[512])
{
	text[0] = 0;
	for (size_t i = 0; i < e->decision.n_steps; i++) {
		const char *rules = e->decision.steps[i].rules;

		if (*rules)
			sprintf(text + strlen(text), "%s%s", *text ? " " : "", rules);
	}
	return text;
}

/* "10.0.1.1:8080 10.0.2.1:8080+snat": the endpoints. */
static inline const char *explained_endpoints(const struct explained *e, char text[512])
{
	char at[IP_TEXT_MAX];

	text[0] = 0;
	for (size_t i = 0; i < e->decision.n_endpoints; i++) {
		const struct decide_endpoint *endpoint = &e->decision.endpoints[i];

		sprintf(text + strlen(text), "%s%s%s", *text ? " " : "",
			ip_format_port(&endpoint->backend->addr, 4, endpoint->backend->port, at),
			endpoint->snat ? "+snat" : "");
	}
	return text;
}
