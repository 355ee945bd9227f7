/* SPDX-License-Identifier: Apache-2.0 */

/* What is the matter with ports and interfaces. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lbctl/doctor.h"
#include "tools/lbctl/text.h"

/* "8080,61000-65535" */
static bool is_reserved(const char *reserved, long port)
{
	while (*reserved) {
		char *end;
		long first = strtol(reserved, &end, 10), last = first;

		if (end == reserved)
			break;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		if (first <= port && port <= last)
			return true;
		reserved = end + (*end == ',');
	}
	return false;
}

void doctor_ports(struct doctor *doctor, json_int_t first, json_int_t last, const char *range,
		  const char *reserved)
{
	long low, high, port;

	if (sscanf(range, "%ld %ld", &low, &high) != 2)
		return;
	for (port = low > first ? low : (long)first; port <= high && port <= last; port++)
		if (!is_reserved(reserved, port))
			break;
	if (port > high || port > last)
		return;
	doctor_find(doctor, DOCTOR_ERROR, "net.ipv4.ip_local_port_range",
		    "move snatPorts or the range, or put the ports into "
		    "net.ipv4.ip_local_reserved_ports",
		    "%ld-%ld overlaps snatPorts, %lld-%lld: a process of the node may get a port "
		    "that a translated client has",
		    low, high, (long long)first, (long long)last);
}

/* The interface of a default route that is in use, or "". */
static void default4(const char *line, char ret[32])
{
	unsigned int destination, flags, mask;
	char name[32];

	*ret = '\0';
	if (sscanf(line, "%31s %x %*x %x %*d %*d %*d %x", name, &destination, &flags, &mask) == 4 &&
	    !destination && !mask && (flags & 1) && !(flags & 0x200))
		strcpy(ret, name);
}

static void default6(const char *line, char ret[32])
{
	char destination[33], name[32];
	unsigned int len, flags;

	*ret = '\0';
	if (sscanf(line, "%32s %x %*s %*x %*s %*x %*x %*x %x %31s", destination, &len, &flags,
		   name) == 4 &&
	    !len && strspn(destination, "0") == 32 && (flags & 1) && !(flags & 0x200))
		strcpy(ret, name);
}

static bool has_default_route(const char *routes, void (*read)(const char *line, char ret[32]),
			      const char *name)
{
	char found[32];

	while (routes && *routes) {
		read(routes, found);
		if (!strcmp(found, name))
			return true;
		routes = strchr(routes, '\n');
		routes += routes != NULL;
	}
	return false;
}

static void look_at_hooks(struct doctor *doctor, const json_t *item, const char *where)
{
	const json_t *hook;
	bool ours = false;
	size_t i;

	json_array_foreach (json_object_get(item, "hooks"), i, hook) {
		const char *name = text_string(hook, "hook"), *state = text_string(hook, "state");

		if (!strcmp(name, "xdp") && !strcmp(state, "attached"))
			ours = true;
		if (strcmp(state, "failed"))
			continue;
		doctor_find(doctor, DOCTOR_ERROR, where,
			    "remove the reason; sluiced tries again when the interface changes or "
			    "it is restarted",
			    "%s could not be attached: %s", name, text_string(hook, "why"));
	}
	if (!ours && text_number(item, "xdpProgram"))
		doctor_find(doctor, DOCTOR_WARNING, where,
			    "see what it is with bpftool net; what it drops or redirects never "
			    "gets to a Service",
			    "another program's XDP is attached, id %lld",
			    (long long)text_number(item, "xdpProgram"));
}

void doctor_attach(struct doctor *doctor, const json_t *list, const char *routes4,
		   const char *routes6)
{
	const json_t *item;
	char where[160];
	size_t i;

	json_array_foreach (json_object_get(list, "items"), i, item) {
		const char *name = text_string(item, "name"), *why = text_string(item, "why");
		bool cgroup = !strcmp(text_string(item, "kind"), "cgroup2");

		snprintf(where, sizeof(where), "%s %.120s", cgroup ? "cgroup" : "interface", name);
		look_at_hooks(doctor, item, where);
		if (cgroup && !strcmp(name, "-") && strcmp(why, "hostProcesses is false"))
			doctor_find(doctor, DOCTOR_ERROR, "hostProcesses",
				    "mount the cgroup v2 hierarchy where sluiced can see it, or "
				    "set hostProcesses: false",
				    "the node's own processes are not served: %s", why);
		if (!strcmp(text_string(item, "role"), "none") && strcmp(name, "lo") &&
		    (has_default_route(routes4, default4, name) ||
		     has_default_route(routes6, default6, name)))
			doctor_find(doctor, DOCTOR_WARNING, where,
				    "if clients come in there, give it a role: interfaces: { NAME: "
				    "uplink } in the configuration",
				    "it carries a default route but has no role (%s): packets "
				    "there are not looked at",
				    why);
	}
}
