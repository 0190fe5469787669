package fat

import "fmt"

const (
	firstCluster = 2 // clusters are numbered from 2
	slotSize     = 32
	tableCount   = 2
	rootSlots16  = 512 // the customary size of FAT16's root directory

	// Drivers distinguish FAT12, FAT16 and FAT32 by the number of clusters alone.
	// Some are off by a few clusters, so keep a distance from the limits.
	border        = 16
	minClusters16 = 4085 + border
	maxClusters16 = 65524 - border
	minClusters32 = 65525 + border
	maxClusters32 = 0x0ffffff5

	maxSlots = 65408 // a directory is less than 2 MiB, in whole sectors of any size
)

// geometry says where the parts of a filesystem lie. Sizes are in bytes unless
// stated otherwise.
type geometry struct {
	fat32       bool
	sector      int64
	cluster     int64
	sectors     int64 // of the whole filesystem
	reserved    int64 // sectors before the first table
	tableSize   int64 // sectors of one table
	rootSectors int64 // FAT16's root directory
	clusters    int64
}

// newGeometry divides a filesystem of size bytes whose root directory has
// rootSlots entries.
func newGeometry(size, sector, cluster, rootSlots int64) (geometry, error) {
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 {
		return geometry{}, fmt.Errorf("lay out FAT filesystem: sectors of %d bytes are not supported: use 512, 1024, 2048 or 4096", sector)
	}
	if size/sector > 1<<32-1 {
		return geometry{}, fmt.Errorf("lay out FAT filesystem: %d bytes in sectors of %d are more than FAT can count: make the partition smaller", size, sector)
	}
	if cluster != 0 {
		return fixedGeometry(size, sector, cluster, rootSlots)
	}
	for c := max(sector, preferredCluster(size)); c >= sector; c /= 2 {
		if g := geometry32(size, sector, c); g.valid() {
			return g, nil
		}
	}
	for c := sector; c <= maxCluster(sector); c *= 2 {
		if g := geometry16(size, sector, c, rootSlots); g.valid() {
			return g, nil
		}
	}
	return geometry{}, fmt.Errorf("lay out FAT filesystem: %d bytes are too few: FAT16 needs at least %d in sectors of %d",
		size, (minClusters16+64)*sector, sector)
}

func fixedGeometry(size, sector, cluster, rootSlots int64) (geometry, error) {
	if cluster < sector || cluster > maxCluster(sector) || cluster&(cluster-1) != 0 {
		return geometry{}, fmt.Errorf("lay out FAT filesystem: clusters of %d bytes are not supported: use a power of two from %d to %d",
			cluster, sector, maxCluster(sector))
	}
	if g := geometry32(size, sector, cluster); g.valid() {
		return g, nil
	}
	g := geometry16(size, sector, cluster, rootSlots)
	if !g.valid() {
		return g, fmt.Errorf("lay out FAT filesystem: %d bytes in clusters of %d make neither FAT16 nor FAT32: use another cluster size, or 0", size, cluster)
	}
	return g, nil
}

// preferredCluster returns the cluster size that Windows uses for FAT32.
func preferredCluster(size int64) int64 {
	switch {
	case size <= 8<<30:
		return 4 << 10
	case size <= 16<<30:
		return 8 << 10
	case size <= 32<<30:
		return 16 << 10
	default:
		return 32 << 10
	}
}

// maxCluster is 32 KiB, the largest size that all drivers support, but at most
// 128 sectors.
func maxCluster(sector int64) int64 { return min(32<<10, sector*128) }

func geometry32(size, sector, cluster int64) geometry {
	g := geometry{fat32: true, sector: sector, cluster: cluster, sectors: size / sector, reserved: 32}
	g.fit(4)
	return g
}

func geometry16(size, sector, cluster, rootSlots int64) geometry {
	g := geometry{sector: sector, cluster: cluster, sectors: size / sector, reserved: 1}
	g.rootSectors = ceilDiv(max(rootSlots, rootSlots16)*slotSize, sector)
	g.fit(2)
	return g
}

// fit computes the size of the tables, which have entryBytes per cluster, and
// adds reserved sectors until clusters begin at a multiple of their own size.
func (g *geometry) fit(entryBytes int64) {
	perCluster := g.cluster / g.sector
	most := (g.sectors - g.reserved - g.rootSectors) / perCluster
	g.tableSize = ceilDiv((max(most, 0)+firstCluster)*entryBytes, g.sector)
	if over := g.dataSector() % perCluster; over != 0 {
		g.reserved += perCluster - over
	}
	g.clusters = max(g.sectors-g.dataSector(), 0) / perCluster
}

func (g geometry) valid() bool {
	if g.fat32 {
		return g.clusters >= minClusters32 && g.clusters < maxClusters32
	}
	return g.clusters >= minClusters16 && g.clusters <= maxClusters16
}

// dataSector is the number of the sector at which the clusters begin.
func (g geometry) dataSector() int64 {
	return g.reserved + tableCount*g.tableSize + g.rootSectors
}

// clusterOffset is the offset of a cluster in bytes.
func (g geometry) clusterOffset(cluster uint32) int64 {
	return g.dataSector()*g.sector + (int64(cluster)-firstCluster)*g.cluster
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
