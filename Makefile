# cloudlets: see README.md. Every target does its own set-up: Debian packages
# that are missing are installed by name, with sudo where it is not root.

GO    ?= go
SUDO  := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# Tests that make namespaces and loop devices run as root; Go itself does not.
AS_ROOT := $(if $(SUDO),-exec "$(SUDO) -E env PATH=$(PATH)")
# Everything is compiled as cmd/build does it, tests and what go vet reads too, so that
# the compiler's cache has each package once. A second set costs as much as all tests.
SAME := CGO_ENABLED=0 GOFLAGS='-trimpath $(GOFLAGS)'
TEST := $(SAME) $(GO) test -vet=off
# One static binary, which carries the smaller one that machines run. The builder itself
# runs on this computer, whatever it builds for. VERSION=x names another version than git does.
BUILD   := env -u GOOS -u GOARCH $(SAME) GO=$(GO) $(GO) run ./cmd/build $(if $(VERSION),-version '$(VERSION)')

# What serving machines takes, and the demo.
BOOT_PACKAGES := ipxe grub-pc-bin systemd-boot-efi
DEMO_PACKAGES := $(BOOT_PACKAGES) qemu-system-x86 ipxe-qemu seabios ovmf mmdebstrap iproute2
# What the tests take besides: foreign clients, foreign tools to check with.
TEST_PACKAGES := $(DEMO_PACKAGES) 7zip acl bash btrfs-progs buildah busybox bzip2 chromium conmon cpio crun curl dmsetup dnsmasq-base dosfstools \
	e2fsprogs efibootmgr efitools erofs-utils findutils gcc gdisk git grub-common grub-efi-amd64-signed gzip ipmitool isc-dhcp-client kea-admin \
	kmod libarchive-tools libc6-dev libcap2-bin libxml2-utils memtest86+ mercurial mtools ndisc6 openipmi openssl procps python3-jsonschema python3-sushy \
	qemu-efi-aarch64 qemu-system-arm qemu-utils radvd redfishtool sbsigntool shim-signed skopeo squashfs-tools tar time u-boot-qemu u-boot-tools udhcpc uidmap umoci \
	util-linux wget xfsprogs xorriso xz-utils zstd

# What is only measured against; the kernel is for virt-make-fs's own virtual machine.
BENCH_PACKAGES := $(TEST_PACKAGES) libguestfs-tools libpcre2-8-0 libwrap0 linux-image-cloud-amd64 wrk

# $(call install,PACKAGES) installs those that are not there.
define install
	@missing=$$(for p in $(1); do \
		dpkg-query -W -f='$${db:Status-Abbrev}' $$p 2>/dev/null | grep -q '^ii' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

.PHONY: help
help: ## show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: build
build: ## build bin/cloudlets, one static binary; GOOS=windows and the like for other hosts
	$(BUILD) -os $(shell $(GO) env GOOS) -arch $(shell $(GO) env GOARCH) -o bin/cloudlets$(shell $(GO) env GOEXE)

# A server installs machines of the architectures whose program it carries, with no
# further file.
.PHONY: build-all
build-all: ## build bin/cloudlets, and bin/cloudlets-linux-amd64 and -arm64 for servers of those architectures; each installs machines of both
	$(BUILD) -os $(shell $(GO) env GOOS) -arch $(shell $(GO) env GOARCH) -agents amd64,arm64 -o bin/cloudlets$(shell $(GO) env GOEXE)
	for arch in amd64 arm64; do $(BUILD) -os linux -arch $$arch -agents amd64,arm64 -o bin/cloudlets-linux-$$arch || exit; done

.PHONY: demo
demo: setup-demo build bin/demo ## install two blank virtual machines over a private network (KEEP=1 leaves them running)
	@exec $(SUDO) bin/demo $(if $(KEEP),-keep)

# After build, if both are made: else both compile the same packages at once.
.PHONY: bin/demo
bin/demo: | build
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/demo ./cmd/demo

.PHONY: setup-demo
setup-demo:
	$(call install,$(DEMO_PACKAGES))

.PHONY: setup-test
setup-test: bin/chrony bin/cloud-init bin/docker-registry bin/etcd bin/isc-dhcp bin/kea bin/libarchive bin/mdadm bin/netconfig bin/podman
	$(call install,$(TEST_PACKAGES))

# $(call own_apt,FOLDER,RELEASE,ARCHITECTURE,KIND) has apt fetch into a folder of its own what this
# computer's apt does not: packages (deb) of another release or architecture, or sources (deb-src).
own_apt = apt=$(CURDIR)/$(1)/apt-$(2) && mkdir -p $$apt/lists/partial $$apt/cache/archives/partial && touch $$apt/status && \
	echo "$(4) [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $(2) main" >$$apt/sources.list && \
	printf '%s;\n' "Dir::State \"$$apt\"" "Dir::State::status \"$$apt/status\"" "Dir::Cache \"$$apt/cache\"" "Dir::Etc::sourcelist \"$$apt/sources.list\"" \
		'Dir::Etc::sourceparts "/dev/null"' "APT::Architecture \"$(3)\"" "APT::Architectures \"$(3)\"" 'APT::Sandbox::User "root"' >$$apt/apt.conf && \
	cd $$apt && export APT_CONFIG=$$apt/apt.conf && apt-get update -qq

# Boot loaders for arm64 machines, out of packages that are not for this computer. Only Debian
# 13 has iPXE for arm64.
bin/arm64:
	rm -rf bin/arm64.part && mkdir -p bin/arm64.part
	$(call own_apt,bin/arm64.part,bookworm,arm64,deb) && apt-get download -qq grub-efi-arm64-bin && dpkg -x *.deb .. && rm -r $$apt
	$(call own_apt,bin/arm64.part,trixie,amd64,deb) && apt-get download -qq ipxe && dpkg -x *.deb .. && rm -r $$apt
	mv bin/arm64.part bin/arm64

# The archives that libarchive's own tests read, out of its source package.
bin/libarchive:
	rm -rf bin/libarchive.part && mkdir -p bin/libarchive.part
	$(call own_apt,bin/libarchive.part,bookworm,amd64,deb-src) && apt-get source -qq --download-only libarchive && \
		tar -xJf libarchive_*.orig.tar.xz -C .. --strip-components 1 --wildcards '*/test/*.uu' && rm -r $$apt
	mv bin/libarchive.part bin/libarchive

# Packages that are unpacked into a folder each and not installed, as they would start
# servers on this computer, or configure it or its network.
unpacked_atftpd := atftpd
unpacked_chrony := chrony
unpacked_cloud-init := cloud-init $(addprefix python3-,attr blinker certifi chardet configobj idna jinja2 json-pointer jsonpatch jsonschema jwt markupsafe \
	netifaces oauthlib pkg-resources pyrsistent requests serial six urllib3 yaml)
# A Python that does not find modules compiled compiles them anew each time that it runs.
cloud-init_then = ! command -v python3 >/dev/null || python3 -m compileall -q --invalidation-mode unchecked-hash $@.part/usr/lib/python3
unpacked_docker-registry := docker-registry
unpacked_etcd := etcd-server
unpacked_isc-dhcp := isc-dhcp-server isc-dhcp-relay
unpacked_kea := kea-dhcp4-server kea-dhcp6-server
unpacked_mdadm := mdadm
unpacked_netconfig := ifupdown libnm0 network-manager
unpacked_nginx := nginx
unpacked_podman := podman
UNPACKED := $(patsubst unpacked_%,bin/%,$(filter unpacked_%,$(.VARIABLES)))

$(UNPACKED): bin/%:
	$(SUDO) apt-get update -qq
	rm -rf $@.part && mkdir -p $@.part && cd $@.part && apt-get download -qq $(unpacked_$*) && for deb in *.deb; do dpkg -x $$deb . && rm $$deb || exit; done
	$($*_then)
	mv $@.part $@

# The Debian root that tests read and machines install, made once.
.PHONY: setup-image
setup-image: setup-demo build bin/demo
	@$(SUDO) bin/demo -image-only >/dev/null

.PHONY: test
test: setup-test ## run the tests, the fast ones first; what takes long is in test-long
	@$(MAKE) --no-print-directory -j2 lint setup-image
	@$(MAKE) --no-print-directory -o build -o setup-image test-go test-boot

.PHONY: lint
lint: build
	@unformatted=$$(gofmt -l cmd dhcp httpboot images provision testdata tftp web); \
		[ -z "$$unformatted" ] || { echo "not gofmt-ed: $$unformatted"; exit 1; }
	@large=$$(git ls-files -z | xargs -0 stat -c '%s %n' 2>/dev/null | awk '$$1 > 1048576'); \
		[ -z "$$large" ] || { echo "tracked files above 1 MiB (bytes, name), built ones among them?"; echo "$$large"; exit 1; }
	$(SAME) $(GO) vet ./... ./testdata/distros ./testdata/etcd ./testdata/needs ./testdata/powercut && $(SAME) $(GO) vet -tags long $(LONG) ./cmd/fleetsim ./images/vcs/worktree ./testdata/bed
	@! ldd bin/cloudlets 2>/dev/null || { echo "bin/cloudlets is not static"; exit 1; }

# The race detector takes a second set of compiled packages, and makes tests up to ten
# times slower. So here it is for the packages where goroutines share most: what answers
# packets and requests, and what keeps the machines' states. test-long has it for all.
RACED := ./cmd/cloudlets/daemon/... ./dhcp/... ./httpboot/... ./provision/members ./provision/nbd ./provision/netroot ./provision/power/desk ./provision/rollout/... ./provision/store ./provision/tickets/... ./provision/track/... ./tftp ./web/...
PLAIN = $(filter-out $(patsubst cloudlets/%,./%,$(shell $(GO) list $(RACED))) ./cmd/fleetsim,$(patsubst cloudlets/%,./%,$(shell $(GO) list ./... ./testdata/distros ./testdata/needs ./testdata/powercut)))
# These tests of them take long with it, and have nothing for it: one thing is done after the
# other, many times over, and the same code runs under it in other tests. So they run without.
UNRACED := ^(TestAWholeHallIsQuiet|TestBlockNumbersRollOver|TestDamagedPages|TestEC2|TestLargePool|TestMemoryOfAMachine|TestNetworkOfAnInstall|TestNoAddressIsGivenTwiceInAnyOrder|TestOrderOfWrites|TestPageInABrowser|TestRefusedClaims|TestRestoreIsKilled|TestStrangersDoNotFillTheMemory|TestStrangersInALargePool)$$
# Under it a hundred machines boot at once in this one, and five hundred without.
BOTH := ^TestBootStorm$$
UNRACED_IN := ./cmd/cloudlets/daemon ./dhcp/v4 ./dhcp/v6 ./httpboot ./provision/store ./provision/track ./provision/track/quiet ./tftp ./web
# Some tests start themselves as another process, many times. The detector would
# keep each for a second when it ends.
RACE := CGO_ENABLED=1 GOFLAGS='-trimpath $(GOFLAGS)' GORACE=atexit_sleep_ms=0 $(GO) test -race
# What has tests that take long, beside the machines.
LONG := ./cmd/build ./cmd/cloudlets ./images/disk/erofs ./images/disk/ext4 ./images/disk/iso ./images/disk/md ./images/disk/vdisk ./provision/track

# lint has vetted what is tested. Three packages at once, as some wait for disks. The
# simulated machines have the time-outs of real firmware, so nothing runs beside the
# small fleets, which wait most of the time.
.PHONY: test-go
test-go: setup-test setup-image ## the tests that boot no machine
	$(TEST) -p 3 -timeout 20m $(AS_ROOT) $(PLAIN)
	$(RACE) -vet=off -p 3 -timeout 20m -skip '$(UNRACED)' $(AS_ROOT) $(RACED)
	$(TEST) -p 3 -timeout 20m -run '$(UNRACED)|$(BOTH)' $(AS_ROOT) $(UNRACED_IN)
	CLOUDLETS_TEST_PROGRAM=$(CURDIR)/bin/cloudlets $(TEST) -timeout 20m -parallel 4 $(AS_ROOT) ./cmd/fleetsim

# Machines wait for the time-outs of firmware, so three keep two processors busy.
.PHONY: test-boot
test-boot: setup-test build ## boot and install virtual machines with real firmware
	CLOUDLETS_TEST_PROGRAM=$(CURDIR)/bin/cloudlets $(TEST) -timeout 45m -parallel 3 -v $(AS_ROOT) ./testdata/bed

.PHONY: test-long
test-long: setup-test setup-image bin/arm64 ## all under the race detector; whole programs for other hosts; more machines, with Debian; virtual disks of two tebibytes; 300 kills; 200 power cuts; storms
	$(RACE) -timeout 60m $(AS_ROOT) $(filter-out cloudlets/cmd/fleetsim,$(shell $(GO) list ./...)) ./testdata/distros ./testdata/needs ./testdata/powercut
	$(RACE) -timeout 60m -tags long $(AS_ROOT) ./cmd/fleetsim
	$(TEST) -timeout 30m -tags long -run '^TestLong' -v $(AS_ROOT) $(LONG)
	$(TEST) -timeout 30m -tags long $(AS_ROOT) ./images/vcs/worktree
	$(TEST) -timeout 60m -parallel 2 -v -tags long -run '^TestLong' -skip '^TestLongPowerCuts' $(AS_ROOT) ./testdata/bed
	$(TEST) -timeout 240m -parallel 2 -v -tags long -run '^TestLongPowerCuts' $(AS_ROOT) ./testdata/bed
	$(MAKE) storm MACHINES=2000 OVER=30s

# How many machines are switched on, and over how long.
MACHINES ?= 10000
OVER     ?= 60s

.PHONY: storm
storm: setup-demo build bin/etcd ## simulate a fleet: one server, one that is killed, three that share a store; MACHINES=n OVER=60s
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/fleetsim ./cmd/fleetsim
	$(SUDO) bin/fleetsim --machines $(MACHINES) --over $(OVER)
	$(SUDO) bin/fleetsim --machines $(MACHINES) --over $(OVER) --kill 10
	$(SUDO) bin/fleetsim --machines $(MACHINES) --over $(OVER) --servers 3 --etcd bin/etcd/usr/bin/etcd --kill 3 --kill-etcd

.PHONY: setup-bench
setup-bench: bin/arm64 bin/atftpd bin/kea bin/nginx
	$(call install,$(BENCH_PACKAGES))

.PHONY: bench
bench: setup-bench build bin/demo ## measure against the plain tools, in the same run
	image=$$($(SUDO) bin/demo -image-only) && \
	CLOUDLETS_BENCH_ROOT=$$image CLOUDLETS_BENCH_DIR=$(wildcard /dev/shm) $(GO) test -timeout 60m -p 1 -run '^$$' -bench . -benchtime 5x $(AS_ROOT) \
		./images/vcs/worktree ./images/rootfs ./images/disk/ext4 ./images/disk/erofs ./images/disk/vdisk ./images/pack ./provision/agent/install ./cmd/cloudlets ./cmd/cloudlets/verbs/fleet && \
	$(GO) test -timeout 10m -run '^$$' -bench Kickstart $(AS_ROOT) ./images/ejs
	CLOUDLETS_BENCH_ATFTPD=$(CURDIR)/bin/atftpd/usr/sbin/atftpd $(GO) test -timeout 10m -run '^$$' -bench . -benchtime 10x $(AS_ROOT) ./tftp
	$(GO) test -timeout 10m -run '^$$' -bench 'Table|Reload' $(AS_ROOT) ./dhcp/table ./provision/site
	CLOUDLETS_BENCH_KEA=$(CURDIR)/bin/kea/usr/sbin/kea-dhcp4 CLOUDLETS_BENCH_NGINX=$(CURDIR)/bin/nginx/usr/sbin/nginx $(GO) test -timeout 45m -run '^$$' -bench . -benchtime 1x $(AS_ROOT) ./testdata/bed

.PHONY: clean
clean: ## remove what was built; the cached Debian root stays in .cache
	rm -rf bin
