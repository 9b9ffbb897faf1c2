/* What nobody can do with less: bare pack FILE... packs and hashes files and writes nothing; bare store DIR FILE...
 * also writes them durably; bare list DIR... reads directories and counts their names.
 * bare drive DATADIR COMMAND works on a queue as a server's archiver does: the oldest 64 pending files at a time, the
 * command (with the file's path for %) in a shell, the mark renamed durably.
 * bare recover DATADIR MS COMMAND NAME... asks for segments as a recovery does: the command (%f, %p) in a shell, the file
 * renamed to its name - without the server's fsync, which hides what is measured - and MS of replay. bare unpack FILE TO is zstd -d.   gcc -O2 bare.c -lzstd -lcrypto */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zstd.h>

#define MUST(x) do { if (!(x)) { perror(#x); exit(1); } } while (0)

static void synced(const char *path, int flags) {
    int file = open(path, flags);
    MUST(file >= 0 && fsync(file) == 0);
    close(file);
}

static size_t pack(const char *path, const char *dir) {
    static char in[64 << 10], out[256 << 10], stored[4096], staged[sizeof stored + 4];
    static ZSTD_CCtx *zstd;
    static EVP_MD_CTX *sha;
    if (!zstd) { zstd = ZSTD_createCCtx(); sha = EVP_MD_CTX_new(); }
    int file = open(path, O_RDONLY);
    MUST(file >= 0);
    int to_file = -1;
    if (dir) {
        snprintf(stored, sizeof stored, "%s/%s.zst", dir, strrchr(path, '/') + 1);
        snprintf(staged, sizeof staged, "%s.tmp", stored);
        MUST((to_file = open(staged, O_WRONLY | O_CREAT | O_EXCL, 0600)) >= 0);
    }
    ZSTD_CCtx_reset(zstd, ZSTD_reset_session_only);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setPledgedSrcSize(zstd, lseek(file, 0, SEEK_END));
    MUST(lseek(file, 0, SEEK_SET) == 0);
    EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
    size_t packed = 0;
    for (;;) {
        ssize_t got = read(file, in, sizeof in);
        MUST(got >= 0);
        EVP_DigestUpdate(sha, in, got);
        ZSTD_inBuffer from = {in, got, 0};
        size_t left;
        do {
            ZSTD_outBuffer to = {out, sizeof out, 0};
            left = ZSTD_compressStream2(zstd, &to, &from, got ? ZSTD_e_continue : ZSTD_e_end);
            MUST(!ZSTD_isError(left));
            packed += to.pos;
            MUST(!dir || write(to_file, out, to.pos) == (ssize_t)to.pos);
        } while (got ? from.pos < from.size : left);
        if (!got) break;
    }
    unsigned char digest[32];
    EVP_DigestFinal_ex(sha, digest, NULL);
    close(file);
    if (dir) {
        MUST(fsync(to_file) == 0 && close(to_file) == 0 && rename(staged, stored) == 0);
        synced(dir, O_RDONLY);
    }
    return packed;
}

static size_t list(const char *path) {
    static char buffer[1 << 20];
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    MUST(dir >= 0);
    size_t names = 0;
    for (long got; (got = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0;)
        for (long at = 0; at < got; names++) at += *(unsigned short *)(buffer + at + 16);
    close(dir);
    return names;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static int drive(const char *data, const char *command) {
    static char *names[1 << 20], line[8192], ready[256], done[256];
    MUST(chdir(data) == 0);
    for (;;) {
        size_t count = 0;
        DIR *dir = opendir("pg_wal/archive_status");
        MUST(dir);
        for (struct dirent *entry; (entry = readdir(dir));) {
            size_t length = strlen(entry->d_name);
            if (length > 6 && !strcmp(entry->d_name + length - 6, ".ready") && count < 1 << 20)
                names[count++] = strndup(entry->d_name, length - 6);
        }
        closedir(dir);
        if (!count) return 0;
        qsort(names, count, sizeof *names, by_name);
        for (size_t at = 0; at < count && at < 64; at++) {
            const char *hole = strchr(command, '%');
            MUST(hole);
            snprintf(line, sizeof line, "%.*spg_wal/%s%s", (int)(hole - command), command, names[at], hole + 1);
            MUST(system(line) == 0);
            snprintf(ready, sizeof ready, "pg_wal/archive_status/%s.ready", names[at]);
            snprintf(done, sizeof done, "pg_wal/archive_status/%s.done", names[at]);
            synced(ready, O_RDWR);
            MUST(rename(ready, done) == 0);
            synced(done, O_RDWR);
            synced("pg_wal/archive_status", O_RDONLY);
        }
        while (count) free(names[--count]);
    }
}

static int unpack(const char *path, const char *to) {
    static char in[128 << 10], out[256 << 10];
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    int from_file = open(path, O_RDONLY), to_file = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    MUST(from_file >= 0 && to_file >= 0);
    for (ssize_t got; (got = read(from_file, in, sizeof in));) {
        MUST(got > 0);
        for (ZSTD_inBuffer from = {in, got, 0}; from.pos < from.size;) {
            ZSTD_outBuffer into = {out, sizeof out, 0};
            MUST(!ZSTD_isError(ZSTD_decompressStream(zstd, &into, &from)));
            MUST(write(to_file, out, into.pos) == (ssize_t)into.pos);
        }
    }
    return 0;
}

static int recover(const char *data, const char *ms, const char *command, char **names) {
    static char line[8192], path[512];
    MUST(chdir(data) == 0);
    for (; *names; names++) {
        size_t at = 0;
        for (const char *c = command; *c; c++) {
            const char *word = c[0] == '%' && c[1] == 'f' ? *names : c[0] == '%' && c[1] == 'p' ? "pg_wal/RECOVERYXLOG" : NULL;
            if (word) { at += snprintf(line + at, sizeof line - at, "%s", word); c++; } else line[at++] = *c;
            MUST(at < sizeof line - 1);
        }
        line[at] = 0;
        MUST(system(line) == 0);
        snprintf(path, sizeof path, "pg_wal/%s", *names);
        MUST(rename("pg_wal/RECOVERYXLOG", path) == 0);
        usleep(atoi(ms) * 1000);
    }
    return 0;
}

int main(int count, char **args) {
    MUST(count > 2);
    if (!strcmp(args[1], "recover")) return recover(args[2], args[3], args[4], args + 5);
    if (!strcmp(args[1], "unpack")) return unpack(args[2], args[3]);
    if (!strcmp(args[1], "drive")) return drive(args[2], args[3]);
    const char *dir = strcmp(args[1], "store") ? NULL : args[2];
    int packs = dir || !strcmp(args[1], "pack");
    size_t sum = 0;
    for (int at = dir ? 3 : 2; at < count; at++) sum += packs ? pack(args[at], dir) : list(args[at]);
    return sum ? 0 : 1;
}
