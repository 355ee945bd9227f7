/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The traffic of benchmarks/scale.
 *
 *   scale-probe serve PORT       answers UDP on any address with that address
 *   scale-probe ask INTERVAL_US  asks an address again and again
 *
 * Each question is a flow of its own (a new source port), so that it goes where
 * new flows go at that moment. A line "ADDRESS PORT" on standard input names
 * whom to ask from then on, port 0 being nobody; the program ends with its input.
 *
 * Answering addresses count as one group if their third byte is the same; being
 * refused is group -1. A line of JSON tells when a group begins or ceases to
 * answer: "appeared" with the first answer, "vanished" with the last one once
 * GONE_AFTER answers came from others. Times are nanoseconds of
 * CLOCK_MONOTONIC.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FLOWS	   1024 /* that may wait for an answer */
#define FIRST_PORT 2048
#define PORTS	   61440
#define GROUPS	   257
#define REFUSED	   256
#define GONE_AFTER 64
#define PRIORITY   10
#define TAG_INPUT  UINT32_MAX
#define TAG_TIMER  (UINT32_MAX - 1)
#define EVENTS	   64
#define NS_PER_S   1000000000ULL
#define LINE_MAX_  128

struct flow {
	int fd;
	uint64_t sent_ns;
	uint32_t target; /* number of the target that it asks */
};

struct group {
	bool present;
	uint64_t last; /* number of its last answer */
	uint64_t sent_ns, received_ns;
};

struct asker {
	int epoll;
	struct sockaddr_in to;
	uint32_t target;
	uint64_t n_sent, n_answers;
	struct flow flows[FLOWS];
	struct group groups[GROUPS];
	char line[LINE_MAX_];
	size_t line_len;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "scale-probe: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A busy machine must not be taken for a slow service proxy. */
static void hurry(void)
{
	struct sched_param param = { .sched_priority = PRIORITY };

	sched_setscheduler(0, SCHED_FIFO, &param);
}

static void serve_one(int fd)
{
	char data[64], control[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct sockaddr_in peer;
	struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
	struct msghdr msg = { .msg_name = &peer,
			      .msg_namelen = sizeof(peer),
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };

	if (recvmsg(fd, &msg, 0) < 0)
		return;
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != IP_PKTINFO)
		return;
	struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(cmsg);
	/* The answer comes from where the question went. */
	info->ipi_spec_dst = info->ipi_addr;
	info->ipi_ifindex = 0;
	iov = (struct iovec) { .iov_base = &info->ipi_addr, .iov_len = sizeof(info->ipi_addr) };
	sendmsg(fd, &msg, 0);
}

static _Noreturn void serve(uint16_t port)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&here, sizeof(here)))
		die("serve");
	for (;;)
		serve_one(fd);
}

static void tell(const struct asker *asker, const char *event, size_t number)
{
	const struct group *group = &asker->groups[number];

	printf("{\"event\": \"%s\", \"group\": %d, \"target\": %" PRIu32 ", \"sent\": %" PRIu64
	       ", \"received\": %" PRIu64 "}\n",
	       event, number == REFUSED ? -1 : (int)number, asker->target, group->sent_ns,
	       group->received_ns);
}

static void answered(struct asker *asker, const struct flow *flow, size_t number)
{
	struct group *group = &asker->groups[number];

	asker->n_answers++;
	group->last = asker->n_answers;
	group->sent_ns = flow->sent_ns;
	group->received_ns = now_ns();
	if (!group->present) {
		group->present = true;
		tell(asker, "appeared", number);
	}
	for (size_t i = 0; i < GROUPS; i++) {
		struct group *other = &asker->groups[i];

		if (other->present && asker->n_answers - other->last > GONE_AFTER) {
			other->present = false;
			tell(asker, "vanished", i);
		}
	}
}

static void finish(struct flow *flow)
{
	if (flow->fd >= 0)
		close(flow->fd);
	flow->fd = -1;
}

static void receive(struct asker *asker, struct flow *flow)
{
	struct in_addr who;
	ssize_t len;

	if (flow->fd < 0)
		return;
	len = recv(flow->fd, &who, sizeof(who), MSG_DONTWAIT);
	if (flow->target == asker->target) {
		if (len == sizeof(who))
			answered(asker, flow, (ntohl(who.s_addr) >> 8) & 0xff);
		else if (len < 0 && errno == ECONNREFUSED)
			answered(asker, flow, REFUSED);
	}
	finish(flow);
}

static void ask(struct asker *asker)
{
	struct sockaddr_in here = { .sin_family = AF_INET };
	uint32_t slot = asker->n_sent % FLOWS;
	struct flow *flow = &asker->flows[slot];
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = slot };

	here.sin_port = htons(FIRST_PORT + asker->n_sent % PORTS);
	asker->n_sent++;
	finish(flow);
	*flow = (struct flow) { .fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0),
				.target = asker->target };
	if (flow->fd < 0)
		die("socket");
	if (bind(flow->fd, (struct sockaddr *)&here, sizeof(here)) ||
	    epoll_ctl(asker->epoll, EPOLL_CTL_ADD, flow->fd, &event))
		die("bind");
	flow->sent_ns = now_ns();
	/* What can't be sent gets no answer. */
	if (connect(flow->fd, (struct sockaddr *)&asker->to, sizeof(asker->to)) ||
	    send(flow->fd, "?", 1, 0) != 1)
		finish(flow);
}

static void set_target(struct asker *asker)
{
	char address[INET_ADDRSTRLEN];
	unsigned int port;

	asker->line[asker->line_len] = '\0';
	asker->line_len = 0;
	if (sscanf(asker->line, "%15s %u", address, &port) != 2 ||
	    inet_pton(AF_INET, address, &asker->to.sin_addr) != 1) {
		fprintf(stderr, "scale-probe: not an address and a port: %s\n", asker->line);
		exit(2);
	}
	asker->to.sin_family = AF_INET;
	asker->to.sin_port = htons(port);
	asker->target++;
	memset(asker->groups, 0, sizeof(asker->groups));
	printf("{\"event\": \"target\", \"target\": %" PRIu32 "}\n", asker->target);
}

/* False at the end of input. */
static bool read_input(struct asker *asker)
{
	char data[LINE_MAX_];
	ssize_t len = read(STDIN_FILENO, data, sizeof(data));

	if (len <= 0)
		return false;
	for (ssize_t i = 0; i < len; i++) {
		if (data[i] == '\n')
			set_target(asker);
		else if (asker->line_len < sizeof(asker->line) - 1)
			asker->line[asker->line_len++] = data[i];
	}
	return true;
}

static void watch(struct asker *asker, int fd, uint32_t tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = tag };

	if (epoll_ctl(asker->epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
}

static int ask_on(uint64_t interval_us)
{
	static struct asker asker;
	struct timespec interval = { .tv_sec = interval_us / 1000000,
				     .tv_nsec = interval_us % 1000000 * 1000 };
	struct itimerspec times = { .it_interval = interval, .it_value = interval };
	struct epoll_event events[EVENTS];
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	asker.epoll = epoll_create1(0);
	if (timer < 0 || asker.epoll < 0 || timerfd_settime(timer, 0, &times, NULL))
		die("timerfd");
	for (size_t i = 0; i < FLOWS; i++)
		asker.flows[i].fd = -1;
	watch(&asker, STDIN_FILENO, TAG_INPUT);
	watch(&asker, timer, TAG_TIMER);
	for (;;) {
		int n = epoll_wait(asker.epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			uint32_t tag = events[i].data.u32;
			uint64_t ticks;

			if (tag == TAG_INPUT) {
				if (!read_input(&asker))
					return 0;
			} else if (tag == TAG_TIMER) {
				if (read(timer, &ticks, sizeof(ticks)) > 0 && asker.to.sin_port)
					ask(&asker);
			} else {
				receive(&asker, &asker.flows[tag]);
			}
		}
	}
}

int main(int argc, char **argv)
{
	long number = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (number > 0 && number <= UINT16_MAX && strcmp(argv[1], "serve") == 0) {
		hurry();
		serve((uint16_t)number);
	}
	if (number > 0 && strcmp(argv[1], "ask") == 0) {
		hurry();
		return ask_on((uint64_t)number);
	}
	fprintf(stderr, "usage: scale-probe serve PORT | scale-probe ask INTERVAL_US\n");
	return 2;
}
