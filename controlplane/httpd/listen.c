/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/httpd/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/mem.h"

#define BACKLOG 128

static const struct sl_addr unspecified;

static int parse_port(const char *text, uint16_t *ret)
{
	size_t len = strspn(text, "0123456789");
	unsigned long port = strtoul(text, NULL, 10);

	if (!len || text[len] || len > 5 || !port || port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

int listen_address_parse(const char *text, struct listen_address *ret)
{
	struct listen_address address = {};
	const char *colon = strrchr(text, ':');
	char host[IP_TEXT_MAX];
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool brackets = len > 1 && text[0] == '[' && text[len - 1] == ']';
	int family;

	if (!len || len >= sizeof(host) || parse_port(colon + 1, &address.port))
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(brackets ? len - 2 : len), text + brackets);
	family = ip_parse(host, &address.addr);
	/* Without brackets the last group of an IPv6 address would pass for a port. */
	if (family < 0 || brackets != !!strchr(host, ':'))
		return -EINVAL;
	address.family = (uint8_t)family;
	address.both = ip_equal(&address.addr, &unspecified);
	*ret = address;
	return 0;
}

static int bind_to(int fd, const struct listen_address *address, int family)
{
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(address->port),
	};
	struct sockaddr_in in4 = {
		.sin_family = AF_INET,
		.sin_port = htons(address->port),
		.sin_addr.s_addr = address->addr.w[0],
	};

	memcpy(&in6.sin6_addr, &address->addr, sizeof(in6.sin6_addr));
	if (family == AF_INET6)
		return bind(fd, (const struct sockaddr *)&in6, sizeof(in6));
	return bind(fd, (const struct sockaddr *)&in4, sizeof(in4));
}

static int open_family(const struct listen_address *address, int family, int *ret_fd)
{
	sl_auto_fd int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1, only6 = !address->both;

	if (fd < 0)
		return -errno;
	/* Connections of an earlier run may still be closing. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return -errno;
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6)))
		return -errno;
	if (bind_to(fd, address, family) || listen(fd, BACKLOG))
		return -errno;
	*ret_fd = sl_take_fd(fd);
	return 0;
}

int listen_open(const struct listen_address *address, int *ret_fd)
{
	int r;

	if (!address->both)
		return open_family(address, address->family == 6 ? AF_INET6 : AF_INET, ret_fd);
	r = open_family(address, AF_INET6, ret_fd);
	/* A kernel without IPv6 still has the other half. */
	return r == -EAFNOSUPPORT ? open_family(address, AF_INET, ret_fd) : r;
}
