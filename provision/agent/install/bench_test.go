package install

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cloudlets/images/pack"
	"cloudlets/images/tarball"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/process1"
	"cloudlets/provision/wire"
)

// benchEnv names the tarball of a root filesystem that the benchmark installs.
const benchEnv = "CLOUDLETS_BENCH_ROOT"

// childEnv tells a child of the benchmark that it is one: it reads a job's
// plan from its standard input.
const childEnv = "CLOUDLETS_BENCH_CHILD"

// BenchmarkInstallMemory installs a root filesystem on a loop device, in a
// process of its own with the limits of process 1, and reports its seconds and
// the most memory that it had.
func BenchmarkInstallMemory(b *testing.B) {
	if os.Getenv(childEnv) != "" {
		installAsChild(b)
		return
	}
	root := os.Getenv(benchEnv)
	if root == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	bed := newBed(b)
	packed := must[*os.File](b)(os.Create(filepath.Join(bed.dir, "root.pack")))
	info, err := pack.Write(b.Context(), packed, tarball.New(root), pack.Options{})
	if err != nil {
		b.Fatal(err)
	}
	content := must[[]byte](b)(os.ReadFile(packed.Name()))
	if err := packed.Close(); err != nil {
		b.Fatal(err)
	}
	bed.server.put("/pack", content)
	bed.job.Plan.Pack = wire.Blob{Path: "/pack", Size: info.Size, Digest: info.Digest}
	bed.job.Plan.Target.Entries = []target.Entry{{ID: "cloudlet-0-1", Title: "bench", Version: "1", Kernel: "/bin/bash"}}
	bed.job.Plan.Target.RootSize = info.Bytes
	for b.Loop() {
		peak := runChild(b, bed)
		b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	}
	b.SetBytes(info.Bytes)
}

// childJob is what of a [Job] can be told to another process.
type childJob struct {
	Plan           wire.Plan
	Inventory      provision.Inventory
	Server, Target string
}

// runChild installs in a process of its own and returns its peak of memory.
func runChild(b *testing.B, bed *bed) int64 {
	b.Helper()
	d := newLoopDisk(b, bed.dir, 2<<30)
	job := childJob{bed.job.Plan, bed.job.Inventory, bed.job.Server, bed.job.Target}
	job.Inventory.Disks = []provision.DiskInfo{d.info}
	text := must[[]byte](b)(json.Marshal(job))
	cmd := exec.CommandContext(b.Context(), must[string](b)(os.Executable()), "-test.run=^$", "-test.bench=^BenchmarkInstallMemory$", "-test.benchtime=1x")
	if profile := os.Getenv("CLOUDLETS_BENCH_PROFILE"); profile != "" {
		cmd.Args = append(cmd.Args, "-test.cpuprofile="+profile)
	}
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stdin = strings.NewReader(string(text))
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("install: %v\n%s", err, out)
	}
	_, after, _ := strings.Cut(string(out), "peak ")
	number, _, _ := strings.Cut(after, " ")
	peak, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		b.Fatalf("no peak in the child's words: %s", out)
	}
	return peak << 10
}

func installAsChild(b *testing.B) {
	var given childJob
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		b.Fatal(err)
	}
	job := Job{Plan: given.Plan, Inventory: given.Inventory, Server: given.Server, Target: given.Target, HTTP: &http.Client{Transport: client.NewTransport(nil)}}
	process1.BoundMemory(MemoryLimit)
	if _, err := Run(b.Context(), job); err != nil {
		b.Fatal(err)
	}
	if err := Unmount(job.Target); err != nil {
		b.Fatal(err)
	}
	status := string(must[[]byte](b)(os.ReadFile("/proc/self/status")))
	_, after, _ := strings.Cut(status, "VmHWM:")
	b.Logf("peak %s kB", strings.Fields(after)[0])
}
