/* SPDX-License-Identifier: Apache-2.0 */

/* Asks netfilter of the kernel, and tells it. */

#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/mem.h"
#include "tools/lbctl/migrate.h"

#define PATIENCE_S 10
#define TRIES	   8

static int connect_netfilter(size_t send_buffer)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int size = send_buffer > 1 << 29 ? 1 << 30 : (int)(2 * send_buffer);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (size)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return fd;
}

/* 1: all came, 0: more to come, -EINTR: the tables changed meanwhile. */
static int read_part(const struct nlmsghdr *message, ssize_t len,
		     int (*each)(const struct nlmsghdr *message, void *arg), void *arg)
{
	for (; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
		int r;

		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EINTR;
		if (message->nlmsg_type == NLMSG_DONE)
			return 1;
		if (message->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(message))->error ?: 1;
		r = each(message, arg);
		if (r)
			return r;
	}
	return 0;
}

static int dump_once(uint16_t type, uint8_t family,
		     int (*each)(const struct nlmsghdr *message, void *arg), void *arg)
{
	sl_auto_fd int fd = connect_netfilter(0);
	sl_auto_mem char *buffer = malloc(65536);
	struct {
		struct nlmsghdr header;
		struct nfgenmsg family;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = type,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.family = { .nfgen_family = family, .version = NFNETLINK_V0 },
	};
	int r = 0;

	if (fd < 0)
		return fd;
	if (!buffer)
		return -ENOMEM;
	if (send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	while (r == 0) {
		ssize_t len = recv(fd, buffer, 65536, 0);

		if (len < 0)
			return -errno;
		r = read_part((const void *)buffer, len, each, arg);
	}
	return r > 0 ? 0 : r;
}

int migrate_dump(uint16_t type, uint8_t family, void (*begin)(void *arg),
		 int (*each)(const struct nlmsghdr *message, void *arg), void *arg)
{
	int r = -EINTR;

	for (int i = 0; i < TRIES && r == -EINTR; i++) {
		if (begin)
			begin(arg);
		r = dump_once(type, family, each, arg);
	}
	return r;
}

static void put(char *message, uint16_t attribute, const void *value, size_t len)
{
	struct nlmsghdr *header = (void *)message;
	struct nlattr *at = (void *)(message + NLMSG_ALIGN(header->nlmsg_len));

	at->nla_type = attribute;
	at->nla_len = (uint16_t)(NLA_HDRLEN + len);
	memcpy((char *)at + NLA_HDRLEN, value, len);
	header->nlmsg_len = NLMSG_ALIGN(header->nlmsg_len) + NLA_ALIGN(at->nla_len);
}

int migrate_batch_add(struct migrate_batch *batch, const struct migrate_message *message)
{
	_Alignas(struct nlmsghdr) char text[512] = {};
	struct nlmsghdr *header = (void *)text;
	struct nfgenmsg *family = NLMSG_DATA(header);
	uint64_t number = htobe64(message->number.value);

	header->nlmsg_type = message->type;
	header->nlmsg_flags = message->flags | NLM_F_REQUEST;
	header->nlmsg_len = NLMSG_LENGTH(sizeof(*family));
	header->nlmsg_seq = ++batch->seq;
	family->nfgen_family = message->family;
	if (message->type == NFNL_MSG_BATCH_BEGIN || message->type == NFNL_MSG_BATCH_END)
		family->res_id = htobe16(NFNL_SUBSYS_NFTABLES);
	else
		batch->last = batch->len;
	if (message->byte.attribute)
		put(text, message->byte.attribute, &message->byte.value, 1);
	for (size_t i = 0; i < SL_COUNT(message->text); i++)
		if (message->text[i].attribute)
			put(text, message->text[i].attribute, message->text[i].value,
			    strnlen(message->text[i].value, 127) + 1);
	if (message->nested.attribute)
		put(text, message->nested.attribute | NLA_F_NESTED, message->nested.value,
		    message->nested.len);
	if (message->number.attribute)
		put(text, message->number.attribute, &number, sizeof(number));

	if (batch->len + header->nlmsg_len > batch->size) {
		size_t size = 2 * batch->size + sizeof(text);
		char *grown = realloc(batch->messages, size);

		if (!grown)
			return -ENOMEM;
		batch->messages = grown;
		batch->size = size;
	}
	memcpy(batch->messages + batch->len, text, header->nlmsg_len);
	batch->len += header->nlmsg_len;
	return 0;
}

/* Errors come in the order of the messages, so before the last one's acknowledgement. */
static int wait_for_word(int fd)
{
	_Alignas(struct nlmsghdr) char buffer[32768];

	for (;;) {
		const struct nlmsghdr *message = (const void *)buffer;
		ssize_t len = recv(fd, buffer, sizeof(buffer), 0);

		if (len < 0)
			return -errno;
		for (; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len))
			if (message->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
	}
}

int migrate_batch_send(struct migrate_batch *batch, bool transaction)
{
	sl_auto_mem char *messages = NULL;
	int r = 0;

	if (transaction)
		r = migrate_batch_add(batch,
				      &(struct migrate_message) { .type = NFNL_MSG_BATCH_END });
	messages = batch->messages;
	batch->messages = NULL;
	if (r)
		return r;
	((struct nlmsghdr *)(messages + batch->last))->nlmsg_flags |= NLM_F_ACK;
	sl_auto_fd int fd = connect_netfilter(batch->len);
	if (fd < 0)
		return fd;
	if (send(fd, messages, batch->len, 0) < 0)
		return -errno;
	return wait_for_word(fd);
}
