// A V4L2 camera without a kernel driver, for LD_PRELOAD.
//
// /dev/video63 is a camera and /dev/video64 a node for metadata only, as many USB cameras have beside them. Behind an
// opened one lies a memory file, so that mmap and poll work by themselves; the ioctls are answered here.
// FAKE_CAMERA chooses: yuyv (default), grey (a format that nokhwa does not know), mjpeg (pictures from the file
// FAKE_JPEG), silent (opens, but no picture ever comes), gone (unplugged after 10 pictures), busy (another one has it).
//
// The picture is 320x240 at 50 Hz, of grey level 16 + (x + y + 4 n) % 200 in picture n, without colour.
// Reference: Linux kernel documentation, "Video for Linux API", version 2.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 240, BUFFERS = 4, LENGTH = 40 * 4096, HZ = 50, MOST_FDS = 4096 };

static char kind_of[MOST_FDS]; // 1: camera, 2: metadata, 0: not ours
static uint32_t queue[64], queue_head, queue_tail, sequence;
static struct timespec next_picture;
static int streaming;

static long raw(long n, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long ret;
    __asm__ volatile("syscall" : "=a"(ret) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (ret < 0 && ret > -4096) {
        errno = (int)-ret;
        return -1;
    }
    return ret;
}

static int is_mode(const char *mode) {
    const char *chosen = getenv("FAKE_CAMERA");
    return !strcmp(chosen ? chosen : "yuyv", mode);
}

static int kind_of_path(const char *path) {
    if (!path) return 0;
    return !strcmp(path, "/dev/video63") ? 1 : !strcmp(path, "/dev/video64") ? 2 : 0;
}

static int open_fake(int kind) {
    int fd = (int)raw(SYS_memfd_create, (long)"fake_v4l2", 0, 0, 0, 0, 0);
    if (fd < 0 || fd >= MOST_FDS || ftruncate(fd, BUFFERS * LENGTH)) return -1;
    kind_of[fd] = (char)kind;
    return fd;
}

static int open_any(const char *path, int flags, int mode) {
    int kind = kind_of_path(path);
    return kind ? open_fake(kind) : (int)raw(SYS_openat, AT_FDCWD, (long)path, flags, mode, 0, 0);
}

static int mode_argument(int flags, va_list list) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, int) : 0;
}

#define OPEN(name, extra)                                                                                             \
    int name(const char *path, int flags, ...) {                                                                      \
        va_list list;                                                                                                 \
        va_start(list, flags);                                                                                        \
        int mode = mode_argument(flags, list);                                                                        \
        va_end(list);                                                                                                 \
        return open_any(path, flags | extra, mode);                                                                   \
    }
OPEN(open, 0)
OPEN(open64, O_LARGEFILE)

int close(int fd) {
    if (fd >= 0 && fd < MOST_FDS) kind_of[fd] = 0;
    return (int)raw(SYS_close, fd, 0, 0, 0, 0, 0);
}

int dup(int fd) {
    int copy = (int)raw(SYS_dup, fd, 0, 0, 0, 0, 0);
    if (copy >= 0 && copy < MOST_FDS && fd < MOST_FDS) kind_of[copy] = kind_of[fd];
    return copy;
}

static int fail(int error) {
    errno = error;
    return -1;
}

static uint32_t fourcc(void) {
    return is_mode("mjpeg") ? V4L2_PIX_FMT_MJPEG : is_mode("grey") ? V4L2_PIX_FMT_GREY : V4L2_PIX_FMT_YUYV;
}

static void fill_format(struct v4l2_pix_format *pix) {
    uint32_t bytes = is_mode("grey") ? 1 : 2;
    memset(pix, 0, sizeof *pix);
    pix->width = WIDTH;
    pix->height = HEIGHT;
    pix->pixelformat = fourcc();
    pix->field = V4L2_FIELD_NONE;
    pix->bytesperline = is_mode("mjpeg") ? 0 : WIDTH * bytes;
    pix->sizeimage = is_mode("mjpeg") ? LENGTH : WIDTH * HEIGHT * bytes;
    pix->colorspace = V4L2_COLORSPACE_SMPTE170M;
}

static uint32_t paint(int fd, uint32_t index) {
    uint8_t *p = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)index * LENGTH);
    if (p == MAP_FAILED) return 0;
    uint32_t used = WIDTH * HEIGHT * 2;
    if (is_mode("mjpeg")) {
        FILE *file = fopen(getenv("FAKE_JPEG"), "rb");
        used = file ? (uint32_t)fread(p, 1, LENGTH, file) : 0;
        if (file) fclose(file);
    } else if (is_mode("grey")) {
        used /= 2;
        for (uint32_t i = 0; i < used; i++) p[i] = (uint8_t)(16 + (i % WIDTH + i / WIDTH + 4 * sequence) % 200);
    } else {
        for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
            p[2 * i] = (uint8_t)(16 + (i % WIDTH + i / WIDTH + 4 * sequence) % 200);
            p[2 * i + 1] = 128;
        }
    }
    munmap(p, LENGTH);
    return used;
}

static int dequeue(int fd, struct v4l2_buffer *buffer) {
    if (is_mode("gone") && sequence == 10) return fail(ENODEV);
    if (!streaming || queue_head == queue_tail) return fail(EAGAIN);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next_picture, NULL);
    uint32_t index = queue[queue_head++ % 64];
    uint32_t type = buffer->type;
    memset(buffer, 0, sizeof *buffer);
    buffer->type = type;
    buffer->index = index;
    buffer->memory = V4L2_MEMORY_MMAP;
    buffer->field = V4L2_FIELD_NONE;
    buffer->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->length = LENGTH;
    buffer->m.offset = index * LENGTH;
    buffer->bytesused = paint(fd, index);
    buffer->sequence = sequence++;
    buffer->timestamp.tv_sec = next_picture.tv_sec;
    buffer->timestamp.tv_usec = next_picture.tv_nsec / 1000;
    next_picture.tv_nsec += 1000000000 / HZ;
    if (next_picture.tv_nsec >= 1000000000) {
        next_picture.tv_sec++;
        next_picture.tv_nsec -= 1000000000;
    }
    return 0;
}

static int camera(int fd, unsigned long request, void *arg) {
    int meta = kind_of[fd] == 2;
    switch ((uint32_t)request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *cap = arg;
        memset(cap, 0, sizeof *cap);
        strcpy((char *)cap->driver, "fake");
        strcpy((char *)cap->card, "Fake Camera");
        strcpy((char *)cap->bus_info, "memory");
        cap->version = 6 << 16;
        cap->device_caps = V4L2_CAP_STREAMING | (meta ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE);
        cap->capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_STREAMING | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_META_CAPTURE;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *d = arg;
        if (meta || d->index > 0 || d->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        d->flags = is_mode("mjpeg") ? V4L2_FMT_FLAG_COMPRESSED : 0;
        d->pixelformat = fourcc();
        strcpy((char *)d->description, "fake");
        return 0;
    }
    case VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *s = arg;
        if (meta || s->index > 0 || s->pixel_format != fourcc()) return fail(EINVAL);
        s->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        s->discrete.width = WIDTH;
        s->discrete.height = HEIGHT;
        return 0;
    }
    case VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *i = arg;
        if (meta || i->index > 0 || i->width != WIDTH || i->height != HEIGHT) return fail(EINVAL);
        i->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        i->discrete.numerator = 1;
        i->discrete.denominator = HZ;
        return 0;
    }
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT:
    case VIDIOC_TRY_FMT: {
        struct v4l2_format *f = arg;
        if (meta || f->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        if ((uint32_t)request == VIDIOC_S_FMT && is_mode("busy")) return fail(EBUSY);
        fill_format(&f->fmt.pix);
        return 0;
    }
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: {
        struct v4l2_streamparm *p = arg;
        if (meta || p->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        memset(&p->parm, 0, sizeof p->parm);
        p->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        p->parm.capture.timeperframe.numerator = 1;
        p->parm.capture.timeperframe.denominator = HZ;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *r = arg;
        if (is_mode("busy") && r->count) return fail(EBUSY);
        if (r->memory != V4L2_MEMORY_MMAP) return fail(EINVAL);
        if (r->count > BUFFERS) r->count = BUFFERS;
        r->capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP;
        queue_head = queue_tail = 0;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *b = arg;
        if (b->index >= BUFFERS) return fail(EINVAL);
        b->length = LENGTH;
        b->m.offset = b->index * LENGTH;
        b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        return 0;
    }
    case VIDIOC_QBUF:
        queue[queue_tail++ % 64] = ((struct v4l2_buffer *)arg)->index;
        ((struct v4l2_buffer *)arg)->flags = V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        return 0;
    case VIDIOC_DQBUF: return dequeue(fd, arg);
    case VIDIOC_STREAMON:
        if (is_mode("busy")) return fail(EBUSY);
        clock_gettime(CLOCK_MONOTONIC, &next_picture);
        streaming = 1;
        sequence = 0;
        return 0;
    case VIDIOC_STREAMOFF:
        streaming = 0;
        queue_head = queue_tail = 0;
        return 0;
    case VIDIOC_G_INPUT: *(int *)arg = 0; return 0;
    default: return fail(ENOTTY);
    }
}

int ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *arg = va_arg(list, void *);
    va_end(list);
    if (fd >= 0 && fd < MOST_FDS && kind_of[fd]) return camera(fd, request, arg);
    return (int)raw(SYS_ioctl, fd, (long)request, (long)arg, 0, 0, 0);
}

long syscall(long n, ...) {
    va_list list;
    va_start(list, n);
    long a[6];
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    if (n == SYS_ioctl && a[0] >= 0 && a[0] < MOST_FDS && kind_of[a[0]]) {
        return camera((int)a[0], (unsigned long)a[1], (void *)a[2]);
    }
    if (n == SYS_dup) return dup((int)a[0]);
    if (n == SYS_close) return close((int)a[0]);
    if (n == SYS_openat && kind_of_path((const char *)a[1])) return open_fake(kind_of_path((const char *)a[1]));
    return raw(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// A memory file is always ready to be read; a silent camera never is.
static int poll_any(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask) {
    for (nfds_t i = 0; is_mode("silent") && i < n; i++) {
        if (fds[i].fd >= 0 && fds[i].fd < MOST_FDS && kind_of[fds[i].fd]) fds[i].fd = ~fds[i].fd;
    }
    struct timespec left = timeout ? *timeout : (struct timespec){0, 0};
    int ready = (int)raw(SYS_ppoll, (long)fds, (long)n, (long)(timeout ? &left : NULL), (long)mask, 8, 0);
    for (nfds_t i = 0; i < n; i++) {
        if (fds[i].fd < -1 && kind_of[~fds[i].fd]) fds[i].fd = ~fds[i].fd;
    }
    return ready;
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask) {
    return poll_any(fds, n, timeout, mask);
}

int poll(struct pollfd *fds, nfds_t n, int ms) {
    struct timespec timeout = {ms / 1000, ms % 1000 * 1000000L};
    return poll_any(fds, n, ms < 0 ? NULL : &timeout, NULL);
}

// The nodes are seen by whoever lists /dev, and are character devices for whoever asks.
static DIR *dev;
static int listed;

DIR *opendir(const char *name) {
    DIR *(*real)(const char *) = (DIR * (*)(const char *)) dlsym(RTLD_NEXT, "opendir");
    DIR *dir = real(name);
    if (!strcmp(name, "/dev") || !strcmp(name, "/dev/")) {
        dev = dir;
        listed = 0;
    }
    return dir;
}

struct dirent64 *readdir64(DIR *dir) {
    static struct dirent64 entry;
    struct dirent64 *(*real)(DIR *) = (struct dirent64 * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir64");
    struct dirent64 *found = real(dir);
    if (found || dir != dev || listed == 2) return found;
    memset(&entry, 0, sizeof entry);
    entry.d_ino = 63;
    entry.d_type = DT_CHR;
    entry.d_reclen = sizeof entry;
    strcpy(entry.d_name, listed++ ? "video64" : "video63");
    return &entry;
}

static int stat_fake(const char *path, struct stat *out) {
    if (!kind_of_path(path)) return (int)raw(SYS_newfstatat, AT_FDCWD, (long)path, (long)out, 0, 0, 0);
    memset(out, 0, sizeof *out);
    out->st_mode = S_IFCHR | 0660;
    out->st_rdev = makedev(81, 63);
    return 0;
}

int stat(const char *path, struct stat *out) { return stat_fake(path, out); }
int stat64(const char *path, struct stat64 *out) { return stat_fake(path, (struct stat *)out); }

int statx(int dir, const char *path, int flags, unsigned mask, struct statx *out) {
    if (!kind_of_path(path)) return (int)raw(SYS_statx, dir, (long)path, flags, mask, (long)out, 0);
    memset(out, 0, sizeof *out);
    out->stx_mask = STATX_BASIC_STATS;
    out->stx_mode = S_IFCHR | 0660;
    return 0;
}
