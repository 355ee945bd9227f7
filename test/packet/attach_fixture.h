/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A network namespace of its own for each test, with a second one to lead
 * veths into, tiny programs, and an event loop. All of it goes with the test's
 * process but the pins, which main() removes.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "controlplane/attach/attach.h"
#include "controlplane/attach/tcx.h"

/* Only frames of this length are counted by the programs. */
#define COUNTED_BYTES 777

struct programs {
	int ingress, egress, xdp;
};

static char root[64]; /* the pins of all tests of this program */
static char folder[128];
static uv_loop_t loop;
static struct attach *attach;
static struct attach_options options;
static struct programs first, second;
static int counts;  /* map: frames that ingress saw */
static pid_t other; /* a process in the other namespace */
static int changes; /* calls of `changed` */

#define INSN(op, dst, src, offset, immediate)                                                      \
	{ .code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (immediate) }

__attribute__((format(printf, 1, 2))) static inline void run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	ck_assert_msg(system(command) == 0, "%s", command);
}

#define ip(...) run("ip " __VA_ARGS__)

static inline int load(enum bpf_prog_type type, const char *name, const struct bpf_insn *insns,
		       size_t n)
{
	int fd = bpf_prog_load(type, name, "GPL", insns, n, NULL);

	ck_assert_msg(fd >= 0, "%s: %s", name, strerror(errno));
	return fd;
}

/* A program that does nothing but say `answer`. */
static inline int load_trivial(enum bpf_prog_type type, const char *name, int answer)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, answer),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load(type, name, insns, SL_COUNT(insns));
}

/* Counts frames of COUNTED_BYTES, and lets the next program go on. */
static inline int load_counting(const char *name)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_LDX | BPF_W | BPF_MEM, 6, 1, offsetof(struct __sk_buff, len), 0),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 6, 0, 9, COUNTED_BYTES),
		INSN(BPF_ST | BPF_W | BPF_MEM, 10, 0, -4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, counts),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1),
		INSN(BPF_STX | BPF_DW | BPF_ATOMIC, 0, 1, 0, BPF_ADD),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, -1),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load(BPF_PROG_TYPE_SCHED_CLS, name, insns, SL_COUNT(insns));
}

static inline struct programs load_programs(void)
{
	return (struct programs) {
		.ingress = load_counting("sluice_ingress"),
		.egress = load_trivial(BPF_PROG_TYPE_SCHED_CLS, "sluice_egress", -1),
		.xdp = load_trivial(BPF_PROG_TYPE_XDP, "sluice_xdp", XDP_PASS),
	};
}

static inline uint64_t counted(void)
{
	uint32_t key = 0;
	uint64_t value = 0;

	ck_assert_int_eq(bpf_map_lookup_elem(counts, &key, &value), 0);
	return value;
}

/* A process in a network namespace of its own that waits to be killed. */
static inline pid_t new_namespace(void)
{
	int ready[2];
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) == 0 && write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static inline void enter_namespace(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	sl_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(setns(fd, CLONE_NEWNET), 0);
}

/* A veth whose other end, "peer-" before its name, is in the other namespace. */
static inline uint32_t add_veth(const char *name)
{
	ip("link add %s up type veth peer name peer-%s netns %d", name, name, other);
	run("nsenter --net=/proc/%d/ns/net ip link set peer-%s up", other, name);
	return if_nametoindex(name);
}

static inline uint32_t add_uplink(const char *name)
{
	uint32_t ifindex = add_veth(name);

	ip("address add 192.0.2.2/24 dev %s", name);
	ip("route add default via 192.0.2.1 dev %s", name);
	return ifindex;
}

static inline void on_changed(void *context)
{
	(void)context;
	changes++;
}

/* Lets the daemon's part run until the condition holds, or three seconds. */
#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		uint64_t end_ = uv_hrtime() + 3000000000ULL;                                       \
		while (!(condition) && uv_hrtime() < end_) {                                       \
			uv_run(&loop, UV_RUN_NOWAIT);                                              \
			usleep(1000);                                                              \
		}                                                                                  \
		ck_assert(condition);                                                              \
	} while (0)

static inline void run_ms(unsigned int ms)
{
	for (uint64_t end = uv_hrtime() + ms * 1000000ULL; uv_hrtime() < end; usleep(1000))
		uv_run(&loop, UV_RUN_NOWAIT);
}

static inline void start(const struct programs *programs)
{
	char error[512] = "";

	options.ingress = programs->ingress;
	options.egress = programs->egress;
	options.xdp = programs->xdp;
	ck_assert_msg(attach_new(&options, &attach, error) == 0, "%s", error);
	/* What the test itself did just before is no change. */
	run_ms(60);
}

/* As after kill -9: nothing is detached. */
static inline void stop(void)
{
	attach_free(sl_take(attach));
	uv_run(&loop, UV_RUN_DEFAULT);
}

static inline uint32_t id_of(int program)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	ck_assert_int_eq(bpf_obj_get_info_by_fd(program, &info, &len), 0);
	return info.id;
}

/* The place of the program on a TCX hook, from 0 on; -1 if it is not there. */
static inline int tcx_place(uint32_t ifindex, int type, int program)
{
	uint32_t ids[16], n = SL_COUNT(ids);

	if (bpf_prog_query((int)ifindex, (enum bpf_attach_type)type, 0, NULL, ids, &n))
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (ids[i] == id_of(program))
			return (int)i;
	return -1;
}

static inline uint32_t xdp_id(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	ck_assert_int_eq(bpf_xdp_query((int)ifindex, 0, &opts), 0);
	return opts.attach_mode == XDP_ATTACHED_SKB ? opts.skb_prog_id : opts.drv_prog_id;
}

static inline const char *pin(const char *hook, uint32_t ifindex)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s_%u", folder, hook, ifindex);
	return path;
}

static inline bool is_pinned(const char *hook, uint32_t ifindex)
{
	return access(pin(hook, ifindex), F_OK) == 0;
}

/* The kernel's id of a pinned link: another one was made anew. */
static inline uint32_t link_id(const char *hook, uint32_t ifindex)
{
	sl_auto_fd int fd = bpf_obj_get(pin(hook, ifindex));
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	ck_assert_msg(fd >= 0, "%s", pin(hook, ifindex));
	ck_assert_int_eq(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info.id;
}

/* "role" or "why" of an interface; "" if it is not known. */
static inline const char *described(const char *name, const char *field)
{
	static char text[256];
	json_t *list = attach_describe(attach), *item;
	size_t i;

	text[0] = '\0';
	json_array_foreach (list, i, item)
		if (strcmp(json_string_value(json_object_get(item, "name")), name) == 0)
			snprintf(text, sizeof(text), "%s",
				 json_string_value(json_object_get(item, field)));
	json_decref(list);
	return text;
}

/* "state: why" of an interface's hook; "" if it has none. */
static inline const char *hook(const char *name, const char *which)
{
	static char text[512];
	json_t *list = attach_describe(attach), *item, *entry;
	size_t i, k;

	text[0] = '\0';
	json_array_foreach (list, i, item)
		json_array_foreach (json_object_get(item, "hooks"), k, entry) {
			const char *state = json_string_value(json_object_get(entry, "state"));
			const char *why = json_string_value(json_object_get(entry, "why"));

			if (strcmp(json_string_value(json_object_get(item, "name")), name) == 0 &&
			    strcmp(json_string_value(json_object_get(entry, "hook")), which) == 0)
				snprintf(text, sizeof(text), "%s%s%s", state, *why ? ": " : "",
					 why);
		}
	json_decref(list);
	return text;
}

static inline bool has_both_tcx(uint32_t ifindex, const struct programs *programs)
{
	return tcx_place(ifindex, TCX_INGRESS, programs->ingress) >= 0 &&
	       tcx_place(ifindex, TCX_EGRESS, programs->egress) >= 0;
}

static inline void set_up(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ip("link set lo up");
	other = new_namespace();
	snprintf(folder, sizeof(folder), "%s/%d", root, getpid());
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	counts = bpf_map_create(BPF_MAP_TYPE_ARRAY, "counts", 4, 8, 1, NULL);
	ck_assert_int_ge(counts, 0);
	first = load_programs();
	second = load_programs();
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	options = (struct attach_options) {
		.loop = &loop,
		.links = folder,
		.changed = on_changed,
	};
	changes = 0;
}

static inline void tear_down(void)
{
	stop();
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
}

static inline int remove_entry(const char *path, const struct stat *status, int flag,
			       struct FTW *walk)
{
	(void)status;
	(void)flag;
	(void)walk;
	return remove(path);
}

/* Runs the suite; 77 without the rights it needs. */
static inline int run_suite(const char *name, void (*add_tests)(TCase *tc))
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *runner = srunner_create(suite);

	snprintf(root, sizeof(root), "/sys/fs/bpf/%s-%d", name, getpid());
	if (geteuid() != 0 || mkdir(root, 0700)) {
		fprintf(stderr, "skipped: needs root and a bpffs on /sys/fs/bpf\n");
		srunner_free(runner);
		return 77;
	}
	libbpf_set_print(NULL);
	log_set_level(LOG_LEVEL_ERROR);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 30);
	add_tests(tc);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
