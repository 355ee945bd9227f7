/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/attach/strays.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "common/abi.h"
#include "common/log.h"
#include "controlplane/attach/destroy.h"

/* Changes come in bursts; one walk, which asks about every socket, is for all. */
#define SOON_MS	 100
#define APART_MS 2000

struct strays {
	uv_timer_t timer;
	struct strays_options options;
	uint64_t next_ms; /* no walk before */
};

/* Was its destination chosen when it was connected? */
static bool is_translated(const struct strays *strays, const struct destroy_udp *socket)
{
	struct sl_socket key = {
		.cookie = socket->cookie,
		.addr = socket->peer,
		.port = socket->peer_port,
		.proto = IPPROTO_UDP,
		.family = socket->family,
	};
	struct sl_asked asked;

	return bpf_map_lookup_elem(strays->options.sockets, &key, &asked) == 0;
}

/* Would it be sent to a backend, if it was connected now? */
static bool would_be_translated(const struct strays *strays, const struct destroy_udp *socket)
{
	struct sl_decide decide = {
		.sport = socket->port,
		.dport = socket->peer_port,
		.proto = IPPROTO_UDP,
		.family = socket->family,
		.local = 1,
	};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &decide, .data_size_in = sizeof(decide),
		    .data_out = &decide, .data_size_out = sizeof(decide));

	memcpy(decide.saddr, socket->addr.w, sizeof(decide.saddr));
	memcpy(decide.daddr, socket->peer.w, sizeof(decide.daddr));
	return bpf_prog_test_run_opts(strays->options.decide, &run) == 0 && run.retval == 0 &&
	       decide.verdict == SL_NEXT;
}

static bool is_stray(void *context, const struct destroy_udp *socket)
{
	const struct strays *strays = context;

	return !is_translated(strays, socket) && would_be_translated(strays, socket);
}

static void walk(uv_timer_t *timer)
{
	struct strays *strays = timer->data;
	size_t closed = 0;
	int err = destroy_udp(is_stray, strays, &closed);

	strays->next_ms = uv_now(timer->loop) + APART_MS;
	if (err)
		log_warn("strays: UDP sockets that are older than their Service can't be closed: "
			 "%s",
			 strerror(-err));
	if (closed)
		log_info("strays: closed UDP sockets that are older than their Service number=%zu",
			 closed);
	if (closed >= DESTROY_UDP_MAX)
		strays_kick(strays);
}

void strays_kick(struct strays *strays)
{
	uint64_t now, wait = SOON_MS;

	if (!strays || uv_is_active((uv_handle_t *)&strays->timer))
		return;
	now = uv_now(strays->options.loop);
	if (strays->next_ms > now + wait)
		wait = strays->next_ms - now;
	uv_timer_start(&strays->timer, walk, wait, 0);
}

static void closed(uv_handle_t *timer)
{
	free(timer->data);
}

int strays_new(const struct strays_options *options, struct strays **ret)
{
	struct strays *strays = calloc(1, sizeof(*strays));
	int err = strays ? uv_timer_init(options->loop, &strays->timer) : -ENOMEM;

	if (err) {
		free(strays);
		return err;
	}
	strays->options = *options;
	strays->timer.data = strays;
	uv_unref((uv_handle_t *)&strays->timer);
	*ret = strays;
	return 0;
}

void strays_free(struct strays *strays)
{
	if (strays)
		uv_close((uv_handle_t *)&strays->timer, closed);
}
