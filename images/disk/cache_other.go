//go:build !linux

package disk

// dropCache does nothing, because this system offers no way to drop the cache.
func dropCache(Device) error { return nil }
