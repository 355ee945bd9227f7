/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The test process in a cgroup of its own, with the shipped programs attached
 * to it, and sockets: of a client, which asks for a service, and of a server
 * at the node's own address.
 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/mem.h"
#include "controlplane/attach/cgroup.h"
#include "test/packet/harness.h"

#define SERVER_PORT 8080
#define OTHER_PORT  8081

static char cgroup_root[PATH_MAX], cgroup_folder[PATH_MAX + 64], links_folder[128];
static struct cgroup attached;

/* How an address is written into a socket: IPv4, IPv6, IPv4 in IPv6 form. */
enum form { FORM_4, FORM_6, FORM_MAPPED, FORM_MAX };

struct place {
	int domain;
	const char *cluster, *vip, *node, *text_of_node, *loopback;
};

static const struct place places[FORM_MAX] = {
	{ AF_INET, CLUSTER4, VIP4, NODE4, NODE4, "127.0.0.1" },
	{ AF_INET6, CLUSTER6, VIP6, NODE6, NODE6, "::1" },
	{ AF_INET6, CLUSTER4, VIP4, NODE4, "::ffff:" NODE4, "127.0.0.1" },
};

/* A test for each form. */
#define add_for_all(tcase, test) tcase_add_loop_test(tcase, test, 0, FORM_MAX)

static inline void join_cgroup(const char *folder)
{
	char path[PATH_MAX + 96];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	fd = open(path, O_WRONLY);
	ck_assert_msg(fd >= 0 && write(fd, "0", 1) == 1, "%s: %s", path, strerror(errno));
	close(fd);
}

/* Tests run in children of the process `runner`. 0 or -errno. */
static inline int find_cgroup(pid_t runner)
{
	FILE *mountinfo = fopen("/proc/self/mountinfo", "r");
	int err = mountinfo ? cgroup_find_root(mountinfo, cgroup_root) : -errno;

	if (mountinfo)
		fclose(mountinfo);
	snprintf(cgroup_folder, sizeof(cgroup_folder), "%s/sluice-test-%d", cgroup_root, runner);
	snprintf(links_folder, sizeof(links_folder), "/sys/fs/bpf/sluice-test-%d", runner);
	return err;
}

static inline void programs_of(struct sluice *skel, int fd[CGROUP_HOOK_MAX])
{
#define X(hook, name, type) fd[CGROUP_##name] = bpf_program__fd(skel->progs.sluice_##hook);
	CGROUP_HOOKS(X)
#undef X
}

static inline void attach_programs(void)
{
	int fd[CGROUP_HOOK_MAX];

	ck_assert_int_eq(find_cgroup(getppid()), 0);
	ck_assert(mkdir(cgroup_folder, 0755) == 0 || errno == EEXIST);
	ck_assert(mkdir(links_folder, 0755) == 0 || errno == EEXIST);
	join_cgroup(cgroup_folder);
	programs_of(harness.skel, fd);
	ck_assert_msg(cgroup_attach(links_folder, cgroup_folder, fd, &attached) == 0, "%s",
		      attached.why);
}

static inline void detach_programs(void)
{
	cgroup_detach(links_folder);
	join_cgroup(cgroup_root);
	rmdir(cgroup_folder);
	rmdir(links_folder);
}

/* Runs the suite; a test that failed has left its cgroup and links. */
static inline int run_in_cgroup(Suite *suite)
{
	int code = harness_run(suite);

	if (find_cgroup(getpid()) == 0) {
		cgroup_detach(links_folder);
		rmdir(links_folder);
		rmdir(cgroup_folder);
	}
	return code;
}

/* A socket address in the form that the socket wants. */
static inline socklen_t fill(const struct place *p, const char *addr, uint16_t port,
			     struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	char text[64];

	memset(ret, 0, sizeof(*ret));
	if (p->domain == AF_INET) {
		*in = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(port) };
		ck_assert_int_eq(inet_pton(AF_INET, addr, &in->sin_addr), 1);
		return sizeof(*in);
	}
	snprintf(text, sizeof(text), "%s%s", strchr(addr, ':') ? "" : "::ffff:", addr);
	*in6 = (struct sockaddr_in6) { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	ck_assert_int_eq(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
	return sizeof(*in6);
}

static inline void assert_is(const struct place *p, const struct sockaddr_storage *got,
			     const char *addr, uint16_t port)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)got;
	const struct sockaddr_in *in = (const struct sockaddr_in *)got;
	struct sockaddr_storage want;
	char text[64] = "";

	fill(p, addr, port, &want);
	if (p->domain == AF_INET)
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
	ck_assert_msg(p->domain == AF_INET
			      ? in->sin_port == htons(port) &&
					in->sin_addr.s_addr ==
						((struct sockaddr_in *)&want)->sin_addr.s_addr
			      : in6->sin6_port == htons(port) &&
					memcmp(&in6->sin6_addr,
					       &((struct sockaddr_in6 *)&want)->sin6_addr, 16) == 0,
		      "got %s port %u, want %s port %u", text, ntohs(in->sin_port), addr, port);
}

/* `type` is SOCK_STREAM or SOCK_DGRAM; a wait that is too long ends in EAGAIN. */
static inline int open_socket(const struct place *p, int type)
{
	const struct timeval patience = { .tv_sec = 2 };
	int fd = socket(p->domain, type, 0);

	ck_assert_int_ge(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return fd;
}

/* A server at an address of the node. */
static inline int serve(const struct place *p, int type, const char *addr, uint16_t port)
{
	struct sockaddr_storage at;
	socklen_t len = fill(p, addr, port, &at);
	int fd = open_socket(p, type), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ck_assert_msg(bind(fd, (struct sockaddr *)&at, len) == 0, "bind: %s", strerror(errno));
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

static inline int try_connect(const struct place *p, int fd, const char *addr, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t len = fill(p, addr, port, &to);

	return connect(fd, (struct sockaddr *)&to, len) ? errno : 0;
}

static inline int try_send(const struct place *p, int fd, const char *addr, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t len = fill(p, addr, port, &to);

	return sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, len) == 5 ? 0 : errno;
}

/* The server takes a datagram and answers it. */
static inline void answer(int server)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char data[16];

	ck_assert_msg(recvfrom(server, data, sizeof(data), 0, (struct sockaddr *)&from, &len) == 5,
		      "the server got nothing: %s", strerror(errno));
	ck_assert_int_eq(sendto(server, data, 5, 0, (struct sockaddr *)&from, len), 5);
}

static inline void assert_received_from(const struct place *p, int fd, const char *addr,
					uint16_t port)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char data[16];

	ck_assert_msg(recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len) == 5,
		      "no answer: %s", strerror(errno));
	assert_is(p, &from, addr, port);
}

static inline void assert_peer(const struct place *p, int fd, const char *addr, uint16_t port)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	ck_assert_int_eq(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	assert_is(p, &peer, addr, port);
}
