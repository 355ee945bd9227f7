/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/host.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/attach/sockets.h"
#include "controlplane/attach/strays.h"

void host_prepare(struct host *host, const struct config *config, struct sl_config *ret)
{
	char *why = host->cgroup.why;
	uint64_t netns;
	int r;

	if (!config->host_processes) {
		snprintf(why, CGROUP_WHY_MAX, "hostProcesses is false");
		return;
	}
	r = cgroup_netns_cookie(&netns);
	if (r == 0 && libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, NULL) != 1)
		r = -EOPNOTSUPP;
	if (r < 0) {
		snprintf(why, CGROUP_WHY_MAX, "the kernel can't: %s", strerror(-r));
		log_warn("host: the node's own processes will not reach Services: %s", why);
		return;
	}
	ret->netns = netns;
	ret->can_refuse = libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
						  BPF_FUNC_set_retval, NULL) == 1;
}

static void on_leave(void *context)
{
	struct host *host = context;

	sockets_kick(host->sockets);
}

static void on_serve(void *context)
{
	struct host *host = context;

	strays_kick(host->strays);
}

static void watch_sockets(struct host *host, uv_loop_t *loop, const struct datapath *datapath,
			  struct tables *tables)
{
	struct sockets_options options = {
		.loop = loop,
		.sockets = datapath_map(datapath, DATAPATH_sockets),
		.backends = datapath_map(datapath, DATAPATH_backends),
		.services = datapath_map(datapath, DATAPATH_services),
		.records = datapath_map(datapath, DATAPATH_records),
	};
	struct strays_options strays = {
		.loop = loop,
		.sockets = datapath_map(datapath, DATAPATH_sockets),
		.decide = datapath_program(datapath, DATAPATH_DECIDE),
	};
	int r = sockets_new(&options, &host->sockets);

	if (r < 0)
		log_warn("host: sockets whose backend left will not be closed: %s", strerror(-r));
	r = strays_new(&strays, &host->strays);
	if (r < 0)
		log_warn("host: UDP sockets that are older than their Service will not be "
			 "closed: %s",
			 strerror(-r));
	tables_on_leave(tables, on_leave, host);
	tables_on_serve(tables, on_serve, host);
}

void host_serve(struct host *host, uv_loop_t *loop, const struct datapath *datapath,
		struct tables *tables)
{
	const char *links = datapath_links_folder(datapath);
	int fd[CGROUP_HOOK_MAX];

	if (!datapath_config(datapath)->netns) {
		cgroup_detach(links);
		return;
	}
	for (int hook = 0; hook < CGROUP_HOOK_MAX; hook++)
		fd[hook] = datapath_program(datapath, DATAPATH_CONNECT4 + hook);
	if (cgroup_attach(links, NULL, fd, &host->cgroup))
		log_warn("host: the node's own processes will not reach all Services: %s",
			 host->cgroup.why);
	watch_sockets(host, loop, datapath, tables);
}

void host_stop(struct host *host)
{
	sockets_free(host->sockets);
	host->sockets = NULL;
	strays_free(host->strays);
	host->strays = NULL;
}
