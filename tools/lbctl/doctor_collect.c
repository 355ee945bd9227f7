/* SPDX-License-Identifier: Apache-2.0 */

/* Reads what doctor looks at, with or without the daemon. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"
#include "controlplane/source/yaml.h"
#include "controlplane/takeover.h"
#include "tools/lbctl/doctor.h"
#include "tools/lbctl/text.h"

#define PATIENCE_MS 10000
#define READ_MAX    (256U << 20)

extern char **environ;

/* Reads until the end, or the deadline if there is one. 0 or -errno; the text ends in a NUL. */
static int read_all(int fd, int64_t deadline_ms, char **ret, size_t *ret_len)
{
	sl_auto_mem char *text = NULL;
	size_t len = 0, size = 0;

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		struct timespec now;
		ssize_t n;

		if (len + 1 >= size) {
			char *grown =
				size < READ_MAX ? realloc(text, size = 2 * size + 65536) : NULL;

			if (!grown)
				return -ENOMEM;
			text = grown;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
		int64_t left = deadline_ms - (now.tv_sec * 1000 + now.tv_nsec / 1000000);
		if (deadline_ms && (left <= 0 || poll(&wait, 1, (int)left) == 0))
			return -ETIMEDOUT;
		n = read(fd, text + len, size - len - 1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	*ret = sl_take(text);
	if (ret_len)
		*ret_len = len;
	return 0;
}

/* Runs a program and returns what it prints: 0 or -errno, -EIO if it failed. */
static int run_program(char *const words[], char **ret)
{
	sl_auto_mem char *text = NULL;
	posix_spawn_file_actions_t actions;
	struct timespec now;
	int ends[2], r, status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	r = -posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (r == 0) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		r = read_all(ends[0], now.tv_sec * 1000 + now.tv_nsec / 1000000 + PATIENCE_MS,
			     &text, NULL);
		if (r)
			kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (r == 0 && status)
			r = -EIO;
	}
	close(ends[0]);
	if (r == 0)
		*ret = sl_take(text);
	return r;
}

static char *read_file(const char *path)
{
	sl_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;

	return fd >= 0 && read_all(fd, 0, &text, NULL) == 0 ? text : NULL;
}

/* This namespace's, where a masqueraded client could come from. */
static int own_addresses(struct doctor *doctor)
{
	struct ifaddrs *list;
	int r = 0;

	if (getifaddrs(&list))
		return -errno;
	for (const struct ifaddrs *each = list; each && !r; each = each->ifa_next) {
		struct sl_addr addr = {};

		if (each->ifa_addr && each->ifa_addr->sa_family == AF_INET) {
			memcpy(&addr, &((struct sockaddr_in *)each->ifa_addr)->sin_addr, 4);
			if (!ip_is_loopback(&addr, 4))
				r = doctor_add_address(doctor, &addr, 4);
		} else if (each->ifa_addr && each->ifa_addr->sa_family == AF_INET6) {
			const struct in6_addr *in6 =
				&((struct sockaddr_in6 *)each->ifa_addr)->sin6_addr;

			memcpy(&addr, in6, sizeof(addr));
			if (!ip_is_loopback(&addr, 6) && !IN6_IS_ADDR_LINKLOCAL(in6))
				r = doctor_add_address(doctor, &addr, 6);
		}
	}
	freeifaddrs(list);
	return r;
}

/* The addresses that SNAT uses by the pins. True if something is pinned. */
static bool pinned_addresses(const struct lbctl *lbctl, struct doctor *doctor)
{
	struct sl_addr addr4 = {}, addr6 = {};
	int fd[DATAPATH_MAP_MAX];
	const __u32 zero = 0;
	struct sl_node node;
	char root[256];

	snprintf(root, sizeof(root), "%s/sluice", lbctl->bpffs);
	if (datapath_open_pins(root, lbctl->instance, fd))
		return false;
	if (fd[DATAPATH_node] >= 0 && !bpf_map_lookup_elem(fd[DATAPATH_node], &zero, &node)) {
		addr4.w[0] = node.addr4[0];
		memcpy(addr6.w, node.addr6, sizeof(addr6.w));
		if (addr4.w[0])
			doctor_add_address(doctor, &addr4, 4);
		if (addr6.w[0] || addr6.w[1] || addr6.w[2] || addr6.w[3])
			doctor_add_address(doctor, &addr6, 6);
	}
	for (int i = 0; i < DATAPATH_MAP_MAX; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return true;
}

/* Also what of iptables is nftables to the kernel. */
static bool look_at_iptables(struct doctor *doctor, char *program)
{
	char *const words[] = { program, NULL };
	sl_auto_mem char *text = NULL;
	int r = run_program(words, &text);

	if (r) {
		doctor_skip(doctor, "iptables", "%s: %s", program, strerror(-r));
		return false;
	}
	doctor_iptables(doctor, text, program);
	return strstr(text, "(nf_tables)") != NULL;
}

static void look_at_rules(struct doctor *doctor)
{
	char save4[] = "iptables-save", save6[] = "ip6tables-save";
	char nft[] = "nft", json[] = "-j", list[] = "list", all[] = "ruleset";
	char *const words[] = { nft, json, list, all, NULL };
	bool iptables[] = { look_at_iptables(doctor, save4), look_at_iptables(doctor, save6) };
	sl_auto_mem char *text = NULL;
	int r = run_program(words, &text);
	json_t *ruleset = r ? NULL : json_loads(text, 0, NULL);

	if (!ruleset)
		doctor_skip(doctor, "nftables", "nft: %s", strerror(r ? -r : EPROTO));
	doctor_nft(doctor, ruleset, iptables);
	json_decref(ruleset);
}

static void look_for_kube_proxy(struct doctor *doctor)
{
	char found[128];
	int r = takeover_find_kube_proxy(found);

	if (r < 0)
		doctor_skip(doctor, "kube-proxy's rules", "%s", strerror(-r));
	if (r > 0)
		doctor_find(doctor, DOCTOR_WARNING, found,
			    "stop kube-proxy on this node, then run lbctl migrate cleanup",
			    "kube-proxy's rules are still here while sluice serves; nobody keeps "
			    "them up to date once it is stopped");
}

static json_t *ask(const struct lbctl *lbctl, const char *path)
{
	char socket[512], error[LBCTL_ERROR_MAX];
	json_t *document = NULL;
	long status;

	snprintf(socket, sizeof(socket), "%s/%s.sock", lbctl->run_dir, lbctl->instance);
	if (client_get(socket, path, &status, &document, error))
		return NULL;
	if (status == 200)
		return document;
	json_decref(document);
	return NULL;
}

static void look_at_attach(const struct lbctl *lbctl, struct doctor *doctor)
{
	sl_auto_mem char *routes4 = read_file("/proc/net/route");
	sl_auto_mem char *routes6 = read_file("/proc/net/ipv6_route");
	json_t *list = ask(lbctl, "/v1/attach"), *item;
	size_t i;

	if (!list)
		doctor_skip(doctor, "interfaces and the cgroup", "sluiced does not answer");
	json_array_foreach (json_object_get(list, "items"), i, item) {
		int ifindex = (int)text_number(item, "ifindex");
		__u32 id = 0;

		if (ifindex && !bpf_xdp_query_id(ifindex, 0, &id) && id)
			json_object_set_new(item, "xdpProgram", json_integer(id));
	}
	doctor_attach(doctor, list, routes4, routes6);
	json_decref(list);
}

static void look_at_ports(struct doctor *doctor, const json_t *status)
{
	sl_auto_mem char *range = read_file("/proc/sys/net/ipv4/ip_local_port_range");
	sl_auto_mem char *reserved = read_file("/proc/sys/net/ipv4/ip_local_reserved_ports");

	if (!status || !range)
		doctor_skip(doctor, "snatPorts", "%s",
			    range ? "sluiced does not answer" : "ip_local_port_range is not there");
	else
		doctor_ports(doctor, text_number(status, "snatPorts.first"),
			     text_number(status, "snatPorts.last"), range,
			     reserved ? reserved : "");
}

static int look_at_policies(const struct lbctl *lbctl, struct doctor *doctor)
{
	const char *file = lbctl->policies;
	bool in = !strcmp(file, "-");
	sl_auto_fd int fd = in ? dup(0) : open(file, O_RDONLY | O_CLOEXEC);
	sl_auto_mem char *text = NULL;
	char error[OBJECT_ERROR_MAX];
	json_t *documents;
	size_t len;
	int r = fd < 0 ? -errno : read_all(fd, 0, &text, &len);

	if (r)
		return lbctl_complain(lbctl, LBCTL_USAGE, "--policies: %s: %s", file, strerror(-r));
	if (yaml_parse(in ? "standard input" : file, text, len, &documents, error))
		return lbctl_complain(lbctl, LBCTL_USAGE, "--policies: %s", error);
	doctor_policies(doctor, documents, file);
	json_decref(documents);
	return 0;
}

int doctor_collect(const struct lbctl *lbctl, struct doctor *doctor)
{
	json_t *status = ask(lbctl, "/v1/status");
	int r = own_addresses(doctor);

	libbpf_set_print(NULL);
	if (r)
		doctor_skip(doctor, "addresses of this node", "%s", strerror(-r));
	if (pinned_addresses(lbctl, doctor) || status)
		look_for_kube_proxy(doctor);
	look_at_rules(doctor);
	look_at_ports(doctor, status);
	look_at_attach(lbctl, doctor);
	json_decref(status);
	if (lbctl->policies)
		return look_at_policies(lbctl, doctor);
	doctor_skip(doctor, "NetworkPolicies", "--policies names no file");
	return 0;
}
