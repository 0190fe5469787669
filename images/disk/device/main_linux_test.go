package device_test

import (
	"os"
	"testing"

	"cloudlets/images/disk/disktest"
)

func TestMain(m *testing.M) { os.Exit(disktest.Main(m)) }
