package guest

import (
	"encoding/json"
	"fmt"
)

// EC2Import describes a raw disk in S3 that EC2 is to import.
type EC2Import struct {
	// Description is shown with the snapshot or the image.
	Description string
	// Bucket and Key say where the disk is stored in S3.
	Bucket, Key string
}

type ec2Container struct {
	Description string
	Format      string
	UserBucket  ec2Bucket
}

type ec2Bucket struct {
	S3Bucket string
	S3Key    string
}

func (i EC2Import) container() (ec2Container, error) {
	if i.Bucket == "" || i.Key == "" {
		return ec2Container{}, fmt.Errorf("describe an import to EC2: bucket %q, key %q: both are needed, because EC2 imports from S3", i.Bucket, i.Key)
	}
	return ec2Container{i.Description, "RAW", ec2Bucket{i.Bucket, i.Key}}, nil
}

// SnapshotJSON returns the file that `aws ec2 import-snapshot
// --disk-container file://…` takes.
func (i EC2Import) SnapshotJSON() ([]byte, error) {
	c, err := i.container()
	if err != nil {
		return nil, err
	}
	return indented(c)
}

// ImageJSON returns the file that `aws ec2 import-image --disk-containers
// file://…` takes.
func (i EC2Import) ImageJSON() ([]byte, error) {
	c, err := i.container()
	if err != nil {
		return nil, err
	}
	return indented([]ec2Container{c})
}

func indented(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}
