/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/semantics/ways.h"

/* A socket address of either family. */
struct name {
	struct sockaddr_storage at;
	socklen_t len;
};

static struct name name_of(const struct sl_addr *addr, __be16 port, uint8_t family)
{
	struct name name = { .len = family == 4 ? sizeof(struct sockaddr_in)
						: sizeof(struct sockaddr_in6) };

	if (family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)&name.at;

		*in = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = port };
		memcpy(&in->sin_addr, addr, 4);
	} else {
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)&name.at;

		*in = (struct sockaddr_in6) { .sin6_family = AF_INET6, .sin6_port = port };
		memcpy(&in->sin6_addr, addr, 16);
	}
	return name;
}

static int open_socket(const struct ends *ends)
{
	int type = ends->proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;

	return socket(ends->family == 4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC,
		      0);
}

/*
 * Without a listener the node itself would refuse what sluice leaves alone.
 * Returns a descriptor, or -1 where none is needed or possible.
 */
static int listen_at(struct world *world, const struct ends *ends)
{
	struct name name = name_of(&ends->daddr, ends->dport, ends->family);
	int one = 1, fd;

	if (ends->proto != IPPROTO_TCP || (!world_is_own(world, &ends->daddr, ends->family) &&
					   !ip_is_loopback(&ends->daddr, ends->family)))
		return -1;
	fd = open_socket(ends);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&name.at, name.len) || listen(fd, 16)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The backend that the programs remember for the socket, 0 if none. */
static uint32_t find_backend(struct world *world, int fd)
{
	int map = datapath_map(world_datapath(world), DATAPATH_sockets);
	struct sl_socket key, *last = NULL;
	struct sl_asked asked;
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	for (; bpf_map_get_next_key(map, last, &key) == 0; last = &key) {
		if (key.cookie == cookie && bpf_map_lookup_elem(map, &key, &asked) == 0)
			return asked.backend;
	}
	return 0;
}

/* Entries of datagrams stay behind a socket that is closed. */
static void forget(struct world *world)
{
	int map = datapath_map(world_datapath(world), DATAPATH_sockets);
	struct sl_socket key;

	while (bpf_map_get_next_key(map, NULL, &key) == 0 && bpf_map_delete_elem(map, &key) == 0)
		;
}

/* What the socket sends now goes to the backend, or on as it is with 0. */
static struct fate go_out(struct world *world, const struct ends *ends, uint32_t id)
{
	struct ends sent = *ends;
	struct sl_backend backend;
	struct packet packet;
	struct fate fate;

	if (id) {
		if (bpf_map_lookup_elem(datapath_map(world_datapath(world), DATAPATH_backends), &id,
					&backend))
			return ways_failed("there is no backend %u", id);
		sent.daddr = backend.addr;
		sent.dport = backend.port;
	}
	packet_make(&sent, &packet);
	fate = ways_leave(world, &sent, &packet);
	if (fate.verdict != VERDICT_DNAT)
		return fate;
	if (!id && (fate.snat || !ip_equal(&fate.addr, &ends->daddr) || fate.port != ends->dport))
		return ways_failed("what was no service's was changed at egress");
	fate.verdict = id ? VERDICT_DNAT : VERDICT_PASS;
	fate.snat = fate.snat || world_has_link(world, &ends->saddr, ends->family);
	return fate;
}

static struct fate call(struct world *world, const struct ends *ends, int fd, bool datagram)
{
	struct name name = name_of(&ends->daddr, ends->dport, ends->family);
	struct sockaddr *to = (struct sockaddr *)&name.at;
	int err =
		datagram ? sendto(fd, "?", 1, 0, to, name.len) < 0 : connect(fd, to, name.len) != 0;
	uint32_t id;

	err = err ? errno : 0;
	id = find_backend(world, fd);
	if (id)
		return go_out(world, ends, id);
	switch (err) {
	case 0:
	case EINPROGRESS:
		return go_out(world, ends, 0);
	case ECONNREFUSED:
		return (struct fate) { .verdict = VERDICT_REJECT };
	case EPERM:
		return (struct fate) { .verdict = VERDICT_DROP };
	default:
		return ways_failed("%s: %s", datagram ? "sendto" : "connect", strerror(err));
	}
}

struct fate ways_connect(struct world *world, const struct ends *ends, bool datagram)
{
	struct name from = name_of(&ends->saddr, 0, ends->family);
	int listener = listen_at(world, ends), fd = open_socket(ends);
	struct fate fate;

	if (fd < 0)
		fate = ways_failed("socket: %s", strerror(errno));
	else if (bind(fd, (struct sockaddr *)&from.at, from.len))
		fate = ways_failed("bind to the source: %s", strerror(errno));
	else
		fate = call(world, ends, fd, datagram);
	if (fd >= 0)
		close(fd);
	if (listener >= 0)
		close(listener);
	forget(world);
	return fate;
}
