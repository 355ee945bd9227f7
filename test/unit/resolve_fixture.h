/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A node, its slices, and the Service default/web as it is resolved there. */

#include <stdio.h>

#include "controlplane/resolve/resolve.h"
#include "controlplane/store/intern.h"
#include "objects.h"

static struct resolve_node node;
static struct resolve_config config;
static struct slice *slices[8];
static size_t n_slices;

static inline __attribute__((unused)) void open_node(void)
{
	node = (struct resolve_node) {
		.name = intern_get("n1"),
		.zone = intern_get("z1"),
		.ip4 = addr_of("192.168.0.2"),
		.ip6 = addr_of("fd00:168::2"),
	};
	config = (struct resolve_config) { .detect4 = true, .detect6 = true };
}

static inline __attribute__((unused)) void close_node(void)
{
	intern_put(node.name);
	intern_put(node.zone);
	while (n_slices)
		slice_free(slices[--n_slices]);
}

/* An IPv4 slice of the port "http", 8080, with these endpoints. */
static inline __attribute__((unused)) void add_slice(const char *endpoints)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'web-%zu'},'addressType':'IPv4','ports':[{'name':'http',"
		 "'port':8080}],'endpoints':[%s]}",
		 n_slices, endpoints);
	slices[n_slices++] = slice_of(text);
}

#define LOCAL	"{'addresses':['10.0.1.1'],'nodeName':'n1'}"
#define REMOTE	"{'addresses':['10.0.2.1'],'nodeName':'n2'}"
#define UNREADY "{'addresses':['10.0.1.9'],'nodeName':'n1','conditions':{'ready':false}}"
#define LEAVING                                                                                    \
	"{'addresses':['10.0.1.8'],'nodeName':'n1',"                                               \
	"'conditions':{'ready':false,'serving':true,'terminating':true}}"

static inline __attribute__((unused)) struct resolved *resolve(const struct service *service)
{
	struct resolved *resolved = NULL;

	ck_assert_int_eq(resolve_service("default", "web", service,
					 (const struct slice *const *)slices, n_slices, &node,
					 &config, &resolved),
			 0);
	ck_assert_ptr_nonnull(resolved);
	return resolved;
}

/* Resolves "default/web" with this spec and these ingress entries. */
static inline __attribute__((unused)) struct resolved *resolve_spec(const char *spec,
								    const char *ingress)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'web'},'spec':{%s},'status':{'loadBalancer':{'ingress':[%s]}}"
		 "}",
		 spec, ingress);

	sl_auto(service) service = service_of(text);

	return resolve(service);
}

#define HTTP	  "'clusterIP':'10.96.0.1','ports':[{'name':'http','port':80}]"
#define HTTP_NODE "'clusterIP':'10.96.0.1','ports':[{'name':'http','port':80,'nodePort':30080}]"
#define DUAL                                                                                       \
	"'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1','fd00::1'],"                            \
	"'ipFamilies':['IPv4','IPv6'],'ports':[{'name':'http','port':80,'nodePort':30080}]"
#define VIP  "{'ip':'198.51.100.1'}"
#define VIPS "{'ip':'198.51.100.1'},{'ip':'2001:db8:50::1'}"
#define ITP  ",'internalTrafficPolicy':'Local'"
#define ETP  ",'externalTrafficPolicy':'Local'"
#define LB   ",'type':'LoadBalancer'"
