/* SPDX-License-Identifier: Apache-2.0 */

/* How programs at a cgroup come and go, and how sockets whose backend left are closed. */

#include <uv.h>

#include "common/log.h"
#include "controlplane/attach/sockets.h"
#include "controlplane/attach/strays.h"
#include "test/packet/sock_fixture.h"

static const struct place *p;
static uv_loop_t loop;
static struct sockets *sockets;
static struct strays *strays;

static uint32_t link_id(const char *hook)
{
	char path[PATH_MAX];
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	snprintf(path, sizeof(path), "%s/cgroup_%s", links_folder, hook);
	int fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return 0;
	close(fd);
	return info.id;
}

/* Programs at a hook of the cgroup; -1: can't be asked. */
static int programs_at(enum bpf_attach_type type)
{
	uint32_t ids[16], n = SL_COUNT(ids), flags;
	int fd = open(cgroup_folder, O_RDONLY);
	int err = bpf_prog_query(fd, type, 0, &flags, ids, &n);

	close(fd);
	return err ? -1 : (int)n;
}

START_TEST(every_hook_is_attached) {
#define X(hook, name, type) ck_assert_int_eq(programs_at(type), 1);
	CGROUP_HOOKS(X)
#undef X
} END_TEST

	START_TEST(a_restart_keeps_the_links)
{
	uint32_t id = link_id("connect4");
	int fd[CGROUP_HOOK_MAX];

	ck_assert_uint_ne(id, 0);
	programs_of(harness.skel, fd);
	ck_assert_int_eq(cgroup_attach(links_folder, cgroup_folder, fd, &attached), 0);
	ck_assert_uint_eq(link_id("connect4"), id);
	ck_assert_int_eq(programs_at(BPF_CGROUP_INET4_CONNECT), 1);
}
END_TEST

/* What an upgraded daemon does. */
START_TEST(another_program_takes_the_place_in_the_same_link)
{
	uint32_t id = link_id("connect4");
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info), ids[4], n = SL_COUNT(ids), flags;
	struct sluice *next = sluice__open();
	int fd[CGROUP_HOOK_MAX];

	ck_assert_ptr_nonnull(next);
	ck_assert_int_eq(sluice__load(next), 0);
	programs_of(next, fd);
	ck_assert_int_eq(cgroup_attach(links_folder, cgroup_folder, fd, &attached), 0);
	ck_assert_uint_eq(link_id("connect4"), id);

	int folder = open(cgroup_folder, O_RDONLY);
	ck_assert_int_eq(bpf_obj_get_info_by_fd(fd[CGROUP_CONNECT4], &info, &len), 0);
	ck_assert_int_eq(bpf_prog_query(folder, BPF_CGROUP_INET4_CONNECT, 0, &flags, ids, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(ids[0], info.id);
	close(folder);
	sluice__destroy(next);
}
END_TEST

START_TEST(a_link_to_another_cgroup_is_made_anew)
{
	char below[PATH_MAX + 80];
	int fd[CGROUP_HOOK_MAX];

	snprintf(below, sizeof(below), "%s/below", cgroup_folder);
	ck_assert_int_eq(mkdir(below, 0755), 0);
	programs_of(harness.skel, fd);
	ck_assert_int_eq(cgroup_attach(links_folder, below, fd, &attached), 0);
	ck_assert_int_eq(programs_at(BPF_CGROUP_INET4_CONNECT), 0);
	rmdir(below);
}
END_TEST

START_TEST(after_detaching_nothing_is_left)
{
	cgroup_detach(links_folder);
#define X(hook, name, type) ck_assert_int_eq(programs_at(type), 0);
	CGROUP_HOOKS(X)
#undef X
	ck_assert_int_eq(rmdir(links_folder), 0);
	ck_assert_int_eq(mkdir(links_folder, 0755), 0);
}
END_TEST

START_TEST(two_instances_stand_side_by_side)
{
	char second[160];
	int fd[CGROUP_HOOK_MAX];

	snprintf(second, sizeof(second), "%s-2", links_folder);
	ck_assert_int_eq(mkdir(second, 0755), 0);
	programs_of(harness.skel, fd);
	ck_assert_int_eq(cgroup_attach(second, cgroup_folder, fd, &attached), 0);
	ck_assert_int_eq(programs_at(BPF_CGROUP_INET4_CONNECT), 2);
	cgroup_detach(second);
	ck_assert_int_eq(programs_at(BPF_CGROUP_INET4_CONNECT), 1);
	rmdir(second);
}
END_TEST

START_TEST(a_folder_that_is_no_cgroup_is_refused_with_a_reason)
{
	int fd[CGROUP_HOOK_MAX];

	programs_of(harness.skel, fd);
	ck_assert_int_ne(cgroup_attach(links_folder, "/proc", fd, &attached), 0);
	ck_assert_str_ne(attached.why, "");
	ck_assert_int_eq(cgroup_attach(links_folder, "/nowhere", fd, &attached), -ENOENT);
}
END_TEST

START_TEST(the_description_names_every_hook)
{
	json_t *item = cgroup_describe(&attached);

	ck_assert_str_eq(json_string_value(json_object_get(item, "name")), cgroup_folder);
	ck_assert_uint_eq(json_array_size(json_object_get(item, "hooks")), CGROUP_HOOK_MAX);
	json_decref(item);
}
END_TEST

static void watch_sockets(void)
{
	struct sockets_options options = {
		.loop = &loop,
		.sockets = bpf_map__fd(harness.skel->maps.sockets),
		.backends = bpf_map__fd(harness.skel->maps.backends),
		.services = bpf_map__fd(harness.skel->maps.services),
		.records = bpf_map__fd(harness.skel->maps.records),
	};

	log_set_level(LOG_LEVEL_ERROR);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(sockets_new(&options, &sockets), 0);
	struct strays_options others = {
		.loop = &loop,
		.sockets = options.sockets,
		.decide = bpf_program__fd(harness.skel->progs.sluice_decide),
	};
	ck_assert_int_eq(strays_new(&others, &strays), 0);
}

static void forget_sockets(void)
{
	sockets_free(sockets);
	strays_free(strays);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
}

static void stop(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

static void run_for(uint64_t ms)
{
	uv_timer_t timer;

	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, stop, ms, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

/* A connection of `type` to a cluster IP; its service and backend. */
static int connection(int form, int type, uint32_t *ret_service, uint32_t *ret_backend)
{
	p = &places[form];
	struct service_spec spec = {
		.kind = SL_KIND_CLUSTER_IP,
		.addr = p->cluster,
		.proto = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP,
		.port = 80,
		.backends = { p->node },
		.target_port = SERVER_PORT,
	};
	int fd = open_socket(p, type);

	*ret_service = harness_service(&spec, ret_backend);
	serve(p, type, p->node, SERVER_PORT);
	ck_assert_int_eq(try_connect(p, fd, p->cluster, 80), 0);
	return fd;
}

static int error_of(int fd)
{
	int error = -1;
	socklen_t len = sizeof(error);

	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	return error;
}

static void set_leave(uint32_t service, enum sl_leave leave, uint32_t drain_s)
{
	int services = bpf_map__fd(harness.skel->maps.services);
	int records = bpf_map__fd(harness.skel->maps.records);
	struct sl_record record;
	uint64_t word;
	uint32_t index;

	ck_assert_int_eq(bpf_map_lookup_elem(services, &service, &word), 0);
	index = SL_SERVICE_RECORD(word);
	ck_assert_int_eq(bpf_map_lookup_elem(records, &index, &record), 0);
	record.leave = leave;
	record.drain_s = drain_s;
	ck_assert_int_eq(bpf_map_update_elem(records, &index, &record, BPF_ANY), 0);
}

START_TEST(udp_is_closed_when_its_backend_leaves)
{
	uint32_t service, backend;
	int fd = connection(_i, SOCK_DGRAM, &service, &backend);

	run_for(50);
	ck_assert_int_eq(error_of(fd), 0);
	harness_retire_backend(backend);
	sockets_kick(sockets);
	run_for(100);
	ck_assert_int_eq(error_of(fd), ECONNABORTED);
	ck_assert_int_eq(harness_count(harness.skel->maps.sockets), 0);
}
END_TEST

START_TEST(udp_with_another_backend_stays)
{
	uint32_t service, backend, other;
	int fd = connection(_i, SOCK_DGRAM, &service, &backend);
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = p->vip,
		.proto = IPPROTO_UDP,
		.port = 80,
		.backends = { p->node },
		.target_port = OTHER_PORT,
	};
	int second = open_socket(p, SOCK_DGRAM);

	harness_service(&spec, &other);
	ck_assert_int_eq(try_connect(p, second, p->vip, 80), 0);
	harness_retire_backend(other);
	sockets_kick(sockets);
	run_for(100);
	ck_assert_int_eq(error_of(fd), 0);
	ck_assert_int_eq(error_of(second), ECONNABORTED);
}
END_TEST

/* Its entry says where it once was connected to. */
START_TEST(udp_that_was_connected_elsewhere_since_stays)
{
	uint32_t service, backend;
	int fd = connection(_i, SOCK_DGRAM, &service, &backend);

	ck_assert_int_eq(try_connect(p, fd, p->node, OTHER_PORT), 0);
	harness_retire_backend(backend);
	sockets_kick(sockets);
	run_for(100);
	ck_assert_int_eq(error_of(fd), 0);
	assert_peer(p, fd, p->node, OTHER_PORT);
	/* The second walk forgets what it does not find. */
	run_for(2100);
	ck_assert_int_eq(harness_count(harness.skel->maps.sockets), 0);
}
END_TEST

START_TEST(tcp_stays_by_default)
{
	uint32_t service, backend;
	int fd = connection(_i, SOCK_STREAM, &service, &backend);

	harness_retire_backend(backend);
	sockets_kick(sockets);
	run_for(100);
	ck_assert_int_eq(error_of(fd), 0);
	assert_peer(p, fd, p->cluster, 80);
}
END_TEST

START_TEST(tcp_is_closed_by_the_policy_reset)
{
	uint32_t service, backend;
	int fd = connection(_i, SOCK_STREAM, &service, &backend);

	set_leave(service, SL_LEAVE_RESET, 0);
	harness_retire_backend(backend);
	sockets_kick(sockets);
	run_for(100);
	ck_assert_int_eq(error_of(fd), ECONNABORTED);
}
END_TEST

START_TEST(tcp_stays_for_the_time_of_the_policy_drain)
{
	uint32_t service, backend;
	int fd = connection(_i, SOCK_STREAM, &service, &backend);

	set_leave(service, SL_LEAVE_DRAIN, 30);
	harness_retire_backend(backend);
	sockets_kick(sockets);
	run_for(100);
	ck_assert_int_eq(error_of(fd), 0);
	harness_age_backend(backend, 40);
	sockets_kick(sockets);
	run_for(100);
	ck_assert_int_eq(error_of(fd), ECONNABORTED);
}
END_TEST

/* Nobody tells that the time is over. */
START_TEST(the_policy_drain_keeps_its_deadline_by_itself)
{
	uint32_t service, backend;
	int fd = connection(_i, SOCK_STREAM, &service, &backend), error = 0;

	set_leave(service, SL_LEAVE_DRAIN, 1);
	harness_retire_backend(backend);
	sockets_kick(sockets);
	for (int i = 0; i < 200 && error == 0; i++) {
		run_for(50);
		error = error_of(fd);
	}
	ck_assert_int_eq(error, ECONNABORTED);
}
END_TEST

/* The time runs from the leaving, not from when somebody began to look. */
START_TEST(the_deadline_is_that_of_the_run_before)
{
	uint32_t service, backend;
	int fd = connection(_i, SOCK_STREAM, &service, &backend);

	forget_sockets();
	set_leave(service, SL_LEAVE_DRAIN, 30);
	harness_retire_backend(backend);
	harness_age_backend(backend, 40);
	watch_sockets();
	run_for(100);
	ck_assert_int_eq(error_of(fd), ECONNABORTED);
}
END_TEST

START_TEST(many_sockets_of_a_backend_are_closed)
{
	uint32_t service, backend;
	int fd[200];

	fd[0] = connection(_i, SOCK_DGRAM, &service, &backend);
	for (int i = 1; i < 200; i++) {
		fd[i] = open_socket(p, SOCK_DGRAM);
		ck_assert_int_eq(try_connect(p, fd[i], p->cluster, 80), 0);
	}
	harness_retire_backend(backend);
	sockets_kick(sockets);
	run_for(300);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(error_of(fd[i]), ECONNABORTED);
}
END_TEST

START_TEST(what_happened_before_the_start_is_found)
{
	uint32_t service, backend;
	int fd = connection(_i, SOCK_DGRAM, &service, &backend);

	forget_sockets();
	harness_retire_backend(backend);
	watch_sockets();
	run_for(100);
	ck_assert_int_eq(error_of(fd), ECONNABORTED);
}
END_TEST

/* A UDP socket that is connected to the cluster IP before anybody serves it. */
static int early_socket(int form)
{
	int fd;

	p = &places[form];
	fd = open_socket(p, SOCK_DGRAM);
	ck_assert_int_eq(try_connect(p, fd, p->cluster, 80), 0);
	return fd;
}

static void walk_for_strays(void)
{
	strays_kick(strays);
	run_for(300);
}

START_TEST(udp_that_is_older_than_its_service_is_closed)
{
	int early = early_socket(_i), late, elsewhere = open_socket(p, SOCK_DGRAM);
	uint32_t service, backend;

	ck_assert_int_eq(try_connect(p, elsewhere, p->node, OTHER_PORT), 0);
	late = connection(_i, SOCK_DGRAM, &service, &backend);
	walk_for_strays();
	ck_assert_int_eq(error_of(early), ECONNABORTED);
	ck_assert_int_eq(error_of(late), 0);
	ck_assert_int_eq(error_of(elsewhere), 0);
	assert_peer(p, late, p->cluster, 80);
}
END_TEST

/* S-164: not before there are endpoints. */
START_TEST(udp_that_would_be_refused_stays)
{
	int early = early_socket(_i);
	struct service_spec spec = {
		.kind = SL_KIND_CLUSTER_IP,
		.addr = p->cluster,
		.proto = IPPROTO_UDP,
		.port = 80,
	};

	memset(spec.path, SL_CHOOSE_REJECT, sizeof(spec.path));
	harness_service(&spec, NULL);
	walk_for_strays();
	ck_assert_int_eq(error_of(early), 0);
}
END_TEST

/* Its backend is at the address of a frontend, as with an external IP of the node. */
START_TEST(udp_that_is_translated_to_a_frontend_stays)
{
	uint32_t service, backend;
	int fd = connection(_i, SOCK_DGRAM, &service, &backend);
	struct service_spec spec = {
		.kind = SL_KIND_EXTERNAL_IP,
		.addr = p->node,
		.proto = IPPROTO_UDP,
		.port = SERVER_PORT,
		.backends = { p->node },
		.target_port = OTHER_PORT,
	};

	harness_service(&spec, NULL);
	walk_for_strays();
	ck_assert_int_eq(error_of(fd), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sock life");
	TCase *links = harness_case(suite, "links"), *closing = harness_case(suite, "closing");

	tcase_add_checked_fixture(links, attach_programs, detach_programs);
	tcase_add_test(links, every_hook_is_attached);
	tcase_add_test(links, a_restart_keeps_the_links);
	tcase_add_test(links, another_program_takes_the_place_in_the_same_link);
	tcase_add_test(links, a_link_to_another_cgroup_is_made_anew);
	tcase_add_test(links, after_detaching_nothing_is_left);
	tcase_add_test(links, two_instances_stand_side_by_side);
	tcase_add_test(links, a_folder_that_is_no_cgroup_is_refused_with_a_reason);
	tcase_add_test(links, the_description_names_every_hook);
	tcase_add_checked_fixture(closing, attach_programs, detach_programs);
	tcase_add_checked_fixture(closing, watch_sockets, forget_sockets);
	add_for_all(closing, udp_is_closed_when_its_backend_leaves);
	add_for_all(closing, udp_with_another_backend_stays);
	add_for_all(closing, udp_that_was_connected_elsewhere_since_stays);
	add_for_all(closing, tcp_stays_by_default);
	add_for_all(closing, tcp_is_closed_by_the_policy_reset);
	add_for_all(closing, tcp_stays_for_the_time_of_the_policy_drain);
	add_for_all(closing, the_policy_drain_keeps_its_deadline_by_itself);
	add_for_all(closing, the_deadline_is_that_of_the_run_before);
	add_for_all(closing, many_sockets_of_a_backend_are_closed);
	add_for_all(closing, what_happened_before_the_start_is_found);
	add_for_all(closing, udp_that_is_older_than_its_service_is_closed);
	add_for_all(closing, udp_that_would_be_refused_stays);
	add_for_all(closing, udp_that_is_translated_to_a_frontend_stays);
	return run_in_cgroup(suite);
}
