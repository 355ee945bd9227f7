/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs a fuzzer without libFuzzer: first every file of a corpus, then inputs
 * made from them for some seconds. The inputs depend on the seed alone. What
 * ends the program is left in a file, which reproduces it.
 */

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "mutate.h"

/* An input that takes longer is a finding as well. */
#define INPUT_MAX_S 20
#define FILES_MAX   4096

static struct input *corpus[FILES_MAX];
static size_t n_corpus;
static struct input input;
static char crash_path[64];

/* UBSan's, which by itself only prints what it finds; and ASan's hook. */
const char *__ubsan_default_options(void);
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:print_stacktrace=1";
}

static void keep_input(void)
{
	static const char text[] = "fuzz: the input that did this is in ";
	int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, input.data, input.len) < 0 ||
	    write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
	    write(STDERR_FILENO, crash_path, strlen(crash_path)) < 0 ||
	    write(STDERR_FILENO, "\n", 1) < 0)
		return;
	close(fd);
}

static void on_signal(int number)
{
	keep_input();
	signal(number, SIG_DFL);
	raise(number);
}

static void run_input(void)
{
	/* A copy of its very size, so that a read beyond it is found. */
	uint8_t *copy = malloc(input.len ? input.len : 1);

	if (!copy)
		abort();
	memcpy(copy, input.data, input.len);
	alarm(INPUT_MAX_S);
	LLVMFuzzerTestOneInput(copy, input.len);
	free(copy);
}

static void load_file(const char *path)
{
	FILE *in = fopen(path, "r");
	struct input *file = calloc(1, sizeof(*file));

	if (!in || !file || n_corpus == FILES_MAX) {
		fprintf(stderr, "fuzz: %s can't be read\n", path);
		exit(2);
	}
	file->len = fread(file->data, 1, sizeof(file->data), in);
	fclose(in);
	corpus[n_corpus++] = file;
}

static void load(const char *path)
{
	struct dirent **names;
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		load_file(path);
		return;
	}

	int n = scandir(path, &names, NULL, alphasort);
	if (n < 0) {
		fprintf(stderr, "fuzz: %s can't be read\n", path);
		exit(2);
	}
	for (int i = 0; i < n; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			load_file(file);
		free(names[i]);
	}
	free(names);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static const int deadly[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };
	struct dice dice = { .state = 1 };
	unsigned long long seed = 1, runs = 0;
	double seconds = 0;
	int option;

	while ((option = getopt(argc, argv, "s:t:")) != -1) {
		if (option == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (option == 't')
			seconds = strtod(optarg, NULL);
		else
			return 2;
	}
	if (optind == argc) {
		fprintf(stderr, "usage: %s [-s SEED] [-t SECONDS] FILE|FOLDER...\n", argv[0]);
		return 2;
	}
	for (; optind < argc; optind++)
		load(argv[optind]);

	const char *name = strrchr(argv[0], '/');
	snprintf(crash_path, sizeof(crash_path), "%.30s.crash-%d", name ? name + 1 : argv[0],
		 (int)getpid());
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(keep_input);
	for (size_t i = 0; i < sizeof(deadly) / sizeof(*deadly); i++)
		if (!__sanitizer_set_death_callback || deadly[i] == SIGABRT || deadly[i] == SIGALRM)
			signal(deadly[i], on_signal);

	for (size_t i = 0; i < n_corpus; i++) {
		input = *corpus[i];
		run_input();
	}
	dice.state += seed * 0x9e3779b97f4a7c15ULL;
	for (double end = now_s() + seconds; n_corpus && now_s() < end; runs++) {
		input = *corpus[dice_roll(&dice, n_corpus)];
		mutate(&input, corpus[dice_roll(&dice, n_corpus)], &dice);
		run_input();
	}
	printf("%zu files, %llu inputs made of them, seed %llu\n", n_corpus, runs, seed);
	for (size_t i = 0; i < n_corpus; i++)
		free(corpus[i]);
	return 0;
}
