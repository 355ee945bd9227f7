/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/scrape/scrape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/httpd/server.h"
#include "controlplane/scrape/parts.h"

#define CLIENTS_MAX	   64
#define MODE		   "sluice"

#define STATUS_OK	   200
#define STATUS_BAD_REQUEST 400
#define STATUS_METHOD	   405
#define STATUS_FAILED	   500

/* A page in the making, for all who asked for it before it began. */
struct job {
	uv_work_t work; /* first: the request is the job */
	struct scrape *scrape;
	struct page page;
	struct parts_totals totals;
	struct parts_services services;
	int result;
	char error[512];
	struct httpd_waiting *clients[CLIENTS_MAX];
	size_t n_clients;
};

struct scrape {
	struct scrape_options options;
	struct server *server;
	struct parts_totals totals; /* `begin` without what the tables kept */
	uv_timer_t begin;	    /* of the next page, outside of the server's callback */
	bool running;		    /* a job */
	bool freed, closed;	    /* by scrape_free(); the timer */
	/* Who asked since the job began: for the next one. */
	struct httpd_waiting *clients[CLIENTS_MAX];
	size_t n_clients;
};

static void subtract(struct sl_service_stats *from, const struct sl_service_stats *what)
{
	uint64_t *at = (uint64_t *)from;
	const uint64_t *by = (const uint64_t *)what;

	for (size_t i = 0; i < sizeof(*from) / sizeof(*at); i++)
		at[i] -= by[i];
}

static void reply_failed(struct httpd_waiting *client, const char *error)
{
	struct httpd_response response = { .status = STATUS_FAILED };

	if (asprintf(&response.body, "%s\n", error) < 0)
		response.body = NULL;
	httpd_header(&response, "Content-Type", "text/plain; charset=utf-8");
	httpd_reply(client, &response);
}

static void reply_page(struct httpd_waiting *client, char *text)
{
	struct httpd_response response = { .status = STATUS_OK, .body = text };

	httpd_header(&response, "Content-Type", "%s", PAGE_CONTENT_TYPE);
	httpd_reply(client, &response);
}

/* The last client gets the page itself, others a copy. */
static void reply(struct job *job)
{
	for (size_t i = 0; i < job->n_clients; i++) {
		bool last = i + 1 == job->n_clients;

		if (job->result)
			reply_failed(job->clients[i], job->error);
		else
			reply_page(job->clients[i],
				   last ? sl_take(job->page.data) : strdup(job->page.data));
	}
}

static void job_free(struct job *job)
{
	page_clear(&job->page);
	free(job->services.used);
	free(job);
}

/* On a worker thread. */
static void work(uv_work_t *work)
{
	struct job *job = (struct job *)work;
	const struct scrape_options *options = &job->scrape->options;

	parts_process(&job->page);
	job->result =
		parts_maps(&job->page, options->view, &job->services, &job->totals, job->error);
	if (!job->result && job->page.no_memory) {
		job->result = -ENOMEM;
		snprintf(job->error, sizeof(job->error), "%s", strerror(ENOMEM));
	}
}

static void free_if_done(struct scrape *scrape)
{
	if (scrape->closed && !scrape->running)
		free(scrape);
}

static void on_begin(uv_timer_t *timer);

static void on_worked(uv_work_t *work, int status)
{
	struct job *job = (struct job *)work;
	struct scrape *scrape = job->scrape;

	(void)status;
	scrape->running = false;
	scrape->totals.last = job->totals.last;
	if (job->result && !scrape->freed)
		log_warn("metrics: %s", job->error);
	reply(job);
	job_free(job);
	if (scrape->freed)
		free_if_done(scrape);
	else if (scrape->n_clients)
		uv_timer_start(&scrape->begin, on_begin, 0, 0);
}

static int job_new(struct scrape *scrape, struct job **ret)
{
	const struct scrape_options *options = &scrape->options;
	struct tables_counts counts;
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->scrape = scrape;
	job->services.max_ports = options->config->metrics_services;
	job->services.used = tables_used_services(options->tables, &job->services.n_used);
	if (!job->services.used) {
		job_free(job);
		return -ENOMEM;
	}
	tables_count(options->tables, &counts);
	job->totals = scrape->totals;
	subtract(&job->totals.begin, &counts.past);
	parts_daemon(&job->page, options);
	*ret = job;
	return 0;
}

/* Begins a page for those who wait. */
static void on_begin(uv_timer_t *timer)
{
	struct scrape *scrape = timer->data;
	size_t n = scrape->n_clients;
	struct job *job;
	int r = job_new(scrape, &job);

	scrape->n_clients = 0;
	if (!r) {
		memcpy(job->clients, scrape->clients, sizeof(job->clients));
		job->n_clients = n;
		r = uv_queue_work(timer->loop, &job->work, work, on_worked);
		if (r)
			job_free(job);
	}
	scrape->running = !r;
	for (size_t i = 0; r && i < n; i++)
		reply_failed(scrape->clients[i], strerror(-r));
}

/* Makes the client wait for a page that begins from now on. */
static void answer_metrics(struct scrape *scrape, const struct httpd_request *request,
			   struct httpd_response *response)
{
	struct httpd_waiting *client = NULL;

	if (scrape->n_clients < CLIENTS_MAX)
		client = httpd_wait(request);
	if (!client) {
		response->status = STATUS_BAD_REQUEST;
		response->body = strdup("a request with a body, or too many\n");
		return;
	}
	scrape->clients[scrape->n_clients++] = client;
	if (!scrape->running)
		uv_timer_start(&scrape->begin, on_begin, 0, 0);
}

static void answer_text(struct httpd_response *response, unsigned int status, const char *text)
{
	response->status = status;
	response->body = strdup(text);
	httpd_header(response, "Content-Type", "text/plain; charset=utf-8");
	httpd_header(response, "X-Content-Type-Options", "nosniff");
}

static void answer_config(const struct config *config, struct httpd_response *response)
{
	json_t *document = json_pack("{s:o}", "sluice", config_json(config));

	response->status = STATUS_OK;
	response->body = document ? json_dumps(document, JSON_INDENT(2)) : NULL;
	json_decref(document);
	httpd_header(response, "Content-Type", "application/json");
}

static void on_request(void *scrape_, const struct httpd_request *request,
		       struct httpd_response *response)
{
	struct scrape *scrape = scrape_;

	if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
		answer_text(response, STATUS_METHOD, "only GET is answered\n");
		httpd_header(response, "Allow", "GET, HEAD");
	} else if (!strcmp(request->path, "/metrics")) {
		answer_metrics(scrape, request, response);
	} else if (!strcmp(request->path, "/healthz")) {
		answer_text(response, STATUS_OK, "ok");
	} else if (!strcmp(request->path, "/proxyMode")) {
		answer_text(response, STATUS_OK, MODE);
	} else if (!strcmp(request->path, "/configz")) {
		answer_config(scrape->options.config, response);
	} else {
		httpd_not_found(response);
	}
}

static void on_close(uv_handle_t *handle)
{
	struct scrape *scrape = handle->data;

	scrape->closed = true;
	free_if_done(scrape);
}

void scrape_free(struct scrape *scrape)
{
	if (!scrape)
		return;
	scrape->freed = true;
	server_free(scrape->server);
	for (size_t i = 0; i < scrape->n_clients; i++)
		reply_failed(scrape->clients[i], "stopping");
	scrape->n_clients = 0;
	uv_close((uv_handle_t *)&scrape->begin, on_close);
}

/* What the maps hold already was counted by an earlier process. */
static int read_begin(struct scrape *scrape, char error[512])
{
	struct parts_services services = { .max_ports = 0 };
	int r;

	services.used = tables_used_services(scrape->options.tables, &services.n_used);
	if (!services.used) {
		snprintf(error, 512, "metrics: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	r = parts_sum(scrape->options.view, &services, &scrape->totals.begin, error);
	free(services.used);
	return r;
}

int scrape_new(const struct scrape_options *options, struct scrape **ret, char error[512])
{
	struct server_options server = {
		.http = {
			.loop = options->loop,
			.name = "metrics",
			.clients_max = CLIENTS_MAX,
			.waits = true,
			.answer = on_request,
		},
		.address = options->config->metrics_bind_address,
		.retry_ms = options->retry_ms,
	};
	sl_auto_mem struct scrape *scrape = calloc(1, sizeof(*scrape));
	int r = -ENOMEM;

	snprintf(error, 512, "metrics: %s", strerror(ENOMEM));
	if (!scrape)
		return r;
	scrape->options = *options;
	r = read_begin(scrape, error);
	if (r)
		return r;
	server.http.context = scrape;
	r = server_new(&server, &scrape->server);
	if (r) {
		snprintf(error, 512, "metricsBindAddress: \"%s\": %s", server.address,
			 strerror(-r));
		return r;
	}
	uv_timer_init(options->loop, &scrape->begin);
	scrape->begin.data = scrape;
	*ret = sl_take(scrape);
	return 0;
}
