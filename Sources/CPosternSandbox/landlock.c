// Landlock: a second wall behind the mounts. It knows nothing about what is hidden; it only says what may be read, executed and changed
// below the folders that the mounts are meant to show. A rule is added for what is allowed; all else that the kernel can handle is not.
#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// The header may be older than the kernel: the attribute of ABI 6, and the rights that came after ABI 2.
struct ruleset {
    uint64_t files, network, scopes;
};
struct network_rule {
    uint64_t access, port;
};
enum {
    right_truncate = 1 << 14,   // ABI 3
    right_ioctl_dev = 1 << 15,  // ABI 5
    right_bind_tcp = 1 << 0, right_connect_tcp = 1 << 1,       // ABI 4
    scope_abstract_sockets = 1 << 0, scope_signals = 1 << 1,  // ABI 6
    rule_path = 1, rule_port = 2,
    newest_abi_used = 6,
};

enum {
    making = LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG
        | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER,
    devices = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK,
    writing = LANDLOCK_ACCESS_FS_WRITE_FILE | right_truncate,
    // What a rule on something that is no folder may hold.
    of_a_file = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | writing | right_ioctl_dev,
};

int psb_landlock_abi(void) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version < 0 ? 0 : (int)version;
}

// Everything on files that the ABI knows, but listing folders: the right would have to be given for "/", where every rule reaches
// everything below. Names are the mounts' business.
static uint64_t handled_files(int abi) {
    uint64_t rights = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | making | devices;
    if (abi >= 3) rights |= right_truncate;
    if (abi >= 5) rights |= right_ioctl_dev;
    return rights;
}

static uint64_t rights_of(const struct psb_path_rule *rule) {
    uint64_t rights = 0;
    if (rule->rights & PSB_MAY_READ) rights |= LANDLOCK_ACCESS_FS_READ_FILE;
    if (rule->rights & PSB_MAY_EXECUTE) rights |= LANDLOCK_ACCESS_FS_EXECUTE;
    if (rule->rights & PSB_MAY_WRITE) rights |= writing;
    if (rule->rights & PSB_MAY_MAKE) rights |= making;
    if (rule->rights & PSB_MAY_CONTROL) rights |= right_ioctl_dev;
    return rights;
}

static int add_path(int ruleset, const struct psb_path_rule *rule, uint64_t handled) {
    struct landlock_path_beneath_attr attribute = {.parent_fd = open(rule->path, O_PATH | O_CLOEXEC)};
    // What is not there needs no permission.
    if (attribute.parent_fd < 0) return errno == ENOENT ? 0 : -errno;
    struct stat status;
    int error = 0;
    if (fstat(attribute.parent_fd, &status) < 0) {
        error = -errno;
    } else {
        attribute.allowed_access = rights_of(rule) & handled & (S_ISDIR(status.st_mode) ? ~0ULL : of_a_file);
        if (syscall(SYS_landlock_add_rule, ruleset, rule_path, &attribute, 0) < 0) error = -errno;
    }
    close(attribute.parent_fd);
    return error;
}

int psb_restrict(const struct psb_path_rule *rules, size_t count, int refuse_tcp, uint16_t proxy_port, int newest_abi) {
    int abi = psb_landlock_abi();
    if (newest_abi <= 0 || newest_abi > newest_abi_used) newest_abi = newest_abi_used;
    if (abi > newest_abi) abi = newest_abi;
    // ABI 1 refuses every rename and link between two folders, which git and package managers cannot do without.
    if (abi < 2) return 0;
    struct ruleset attribute = {.files = handled_files(abi)};
    if (abi >= 4 && refuse_tcp) attribute.network = right_bind_tcp | right_connect_tcp;
    if (abi >= 6) attribute.scopes = scope_abstract_sockets | scope_signals;
    size_t size = abi >= 6 ? sizeof attribute : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attribute, size, 0);
    if (ruleset < 0) return -errno;
    int error = 0;
    for (size_t i = 0; i < count && error == 0; i++) error = add_path(ruleset, &rules[i], attribute.files);
    if (error == 0 && attribute.network != 0 && proxy_port != 0) {
        struct network_rule rule = {.access = right_connect_tcp, .port = proxy_port};
        if (syscall(SYS_landlock_add_rule, ruleset, rule_port, &rule, 0) < 0) error = -errno;
    }
    if (error == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) error = -errno;
    close(ruleset);
    return error < 0 ? error : abi;
}

int psb_restrict_to_reading(const char *const *paths, size_t count) {
    int abi = psb_landlock_abi();
    if (abi < 1) return 0;
    if (abi > newest_abi_used) abi = newest_abi_used;
    // Listing folders too: unlike in a sandbox no mount hides the names.
    struct ruleset attribute = {.files = handled_files(abi) | LANDLOCK_ACCESS_FS_READ_DIR};
    // Before ABI 2 moving between folders is refused whatever the rules say, and cannot be named.
    if (abi < 2) attribute.files &= ~(uint64_t)LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 4) attribute.network = right_bind_tcp;
    if (abi >= 6) attribute.scopes = scope_abstract_sockets | scope_signals;
    size_t size = abi >= 6 ? sizeof attribute : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attribute, size, 0);
    if (ruleset < 0) return -errno;
    int error = 0;
    for (size_t i = 0; i < count && error == 0; i++) {
        const struct psb_path_rule rule = {.path = paths[i], .rights = PSB_MAY_READ};
        error = add_path(ruleset, &rule, attribute.files);
        // What this user may not even look up needs no permission either.
        if (error == -EACCES) error = 0;
    }
    if (error == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) error = -errno;
    close(ruleset);
    return error < 0 ? error : abi;
}
