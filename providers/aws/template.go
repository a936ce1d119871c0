package aws

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"purser"
	"purser/providers"
	"purser/providers/bootstrap"
)

// template is a launch template as a lease has it. Without a name there is none: the
// endpoint does not know of templates, and settings go with the launch itself.
type template struct {
	name, id string
	asked    string // digest of what was asked for with it
	lease    purser.LeaseID
	made     time.Time
	ended    time.Time // when Sweep first saw it without a machine; zero: it did not
	settings *settings // where there is no template
}

// templateName is the same for every repetition of the lease's attempt.
func templateName(installation string, l purser.Lease) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "purser template 1|%s|%s|%d", installation, l.ID, l.Attempt))
	return "purser-" + hex.EncodeToString(sum[:16])
}

// pin finds the lease's template or makes it. Names are unique in a region, so that of
// two who launch the lease at once one makes the template and both use it: user data,
// image and reservation are those of the first, whatever has changed since.
func (p *Provider) pin(ctx context.Context, r providers.Request, a *ask) (template, error) {
	name := templateName(p.c.Installation, r.Lease)
	var s *settings
	for range 2 {
		t, ok, err := p.template(ctx, a.region, name)
		switch {
		case unknownAction(err):
			s, err = p.settings(ctx, r, a)
			return template{settings: s}, err
		case err != nil:
			return template{}, failedLaunch(ctx, r, "ec2:DescribeLaunchTemplates", err)
		case ok:
			return t, nil
		}
		if s == nil {
			if s, err = p.settings(ctx, r, a); err != nil {
				return template{}, err
			}
		}
		out, err := p.ec2(a.region).CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{
			LaunchTemplateName: &name, LaunchTemplateData: s.data(),
			TagSpecifications: tagged(append(s.tags, tagOf(tagAsked, a.digest())), types.ResourceTypeLaunchTemplate),
		})
		switch {
		case err == nil && out.LaunchTemplate != nil:
			t := templateOf(*out.LaunchTemplate)
			t.name, t.asked = name, a.digest()
			if t.made.IsZero() {
				t.made = p.c.Now()
			}
			return t, nil
		case unknownAction(err):
			return template{settings: s}, nil
		case code(err) != codeTemplateExists:
			return template{}, failedLaunch(ctx, r, "ec2:CreateLaunchTemplate", err)
		}
	}
	return template{}, &purser.Error{
		Kind: purser.KindUnavailable, Op: opLaunch, RetryAfter: time.Second,
		Message: fmt.Sprintf("%s: the lease is being launched elsewhere", r.Lease.Offer.ID()),
	}
}

// template looks for a template by its name.
func (p *Provider) template(ctx context.Context, region, name string) (template, bool, error) {
	out, err := p.ec2(region).DescribeLaunchTemplates(ctx, &ec2.DescribeLaunchTemplatesInput{LaunchTemplateNames: []string{name}})
	switch {
	case code(err) == "InvalidLaunchTemplateName.NotFoundException":
		return template{}, false, nil
	case err != nil:
		return template{}, false, err
	case len(out.LaunchTemplates) == 0:
		return template{}, false, nil
	}
	return templateOf(out.LaunchTemplates[0]), true, nil
}

func templateOf(t types.LaunchTemplate) template {
	ended, _ := time.Parse(time.RFC3339, tag(t.Tags, tagEnded)) // zero unless Sweep wrote it
	return template{
		name: awssdk.ToString(t.LaunchTemplateName), id: awssdk.ToString(t.LaunchTemplateId), asked: tag(t.Tags, tagAsked),
		lease: purser.LeaseID(tag(t.Tags, tagLease)), made: awssdk.ToTime(t.CreateTime), ended: ended,
	}
}

// settings are what every machine of a lease starts with, wherever it starts.
type settings struct {
	image, root, userData, profile, kmsKey string
	diskGiB, hopLimit                      int32
	groups                                 []string
	publicIP                               bool
	reservation                            string
	option                                 purser.PurchaseOption
	tags                                   []types.Tag
}

func (p *Provider) settings(ctx context.Context, r providers.Request, a *ask) (*settings, error) {
	script, err := bootstrap.Script(r)
	if err != nil {
		return nil, err
	}
	if a.option == purser.Reserved || a.option == purser.CapacityBlock {
		if a.reservation, err = p.freeReservation(ctx, r.Lease.Offer); err != nil {
			return nil, err
		}
	}
	image, err := p.image(ctx, a.region, a.family)
	if err != nil {
		return nil, err
	}
	return &settings{
		image: image, root: p.c.Images[a.family].RootDevice, userData: base64.StdEncoding.EncodeToString([]byte(script)),
		profile: p.c.InstanceProfile, kmsKey: p.c.KMSKey, diskGiB: p.c.DiskGiB, hopLimit: p.c.HopLimit,
		groups: a.groups, publicIP: a.publicIP, reservation: a.reservation, option: a.option,
		tags: []types.Tag{tagOf(tagLease, string(r.Lease.ID)), tagOf(tagInstallation, p.c.Installation)},
	}, nil
}

func tagOf(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

func tagged(tags []types.Tag, what ...types.ResourceType) (out []types.TagSpecification) {
	for _, w := range what {
		out = append(out, types.TagSpecification{ResourceType: w, Tags: tags})
	}
	return out
}

// resources are what a launch makes and tags. Only spot machines have a spot request,
// and AWS refuses its tag for others.
func (s *settings) resources() []types.ResourceType {
	out := []types.ResourceType{types.ResourceTypeInstance, types.ResourceTypeVolume, types.ResourceTypeNetworkInterface}
	if s.option == purser.Spot {
		out = append(out, types.ResourceTypeSpotInstancesRequest)
	}
	return out
}

// data is the settings as a template has them. The network interface has no subnet: a
// fleet's places name it.
func (s *settings) data() *types.RequestLaunchTemplateData {
	d := &types.RequestLaunchTemplateData{
		ImageId: &s.image, UserData: &s.userData, InstanceInitiatedShutdownBehavior: types.ShutdownBehaviorTerminate,
		MetadataOptions: &types.LaunchTemplateInstanceMetadataOptionsRequest{
			HttpEndpoint: types.LaunchTemplateInstanceMetadataEndpointStateEnabled, HttpTokens: types.LaunchTemplateHttpTokensStateRequired,
			HttpPutResponseHopLimit: &s.hopLimit,
		},
		BlockDeviceMappings: []types.LaunchTemplateBlockDeviceMappingRequest{{DeviceName: &s.root, Ebs: &types.LaunchTemplateEbsBlockDeviceRequest{
			Encrypted: awssdk.Bool(true), KmsKeyId: optional(s.kmsKey), VolumeSize: &s.diskGiB, VolumeType: types.VolumeTypeGp3, DeleteOnTermination: awssdk.Bool(true),
		}}},
		NetworkInterfaces: []types.LaunchTemplateInstanceNetworkInterfaceSpecificationRequest{{
			DeviceIndex: awssdk.Int32(0), AssociatePublicIpAddress: &s.publicIP, DeleteOnTermination: awssdk.Bool(true), Groups: s.groups,
		}},
	}
	if s.profile != "" {
		d.IamInstanceProfile = &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Name: &s.profile}
	}
	if s.reservation != "" {
		d.CapacityReservationSpecification = &types.LaunchTemplateCapacityReservationSpecificationRequest{
			CapacityReservationTarget: &types.CapacityReservationTarget{CapacityReservationId: &s.reservation},
		}
	}
	for _, t := range tagged(s.tags, s.resources()...) {
		d.TagSpecifications = append(d.TagSpecifications, types.LaunchTemplateTagSpecificationRequest{ResourceType: t.ResourceType, Tags: t.Tags})
	}
	return d
}

// inline puts the settings into the launch itself, for endpoints without templates.
func (s *settings) inline(in *ec2.RunInstancesInput) {
	in.ImageId, in.UserData, in.InstanceInitiatedShutdownBehavior = &s.image, &s.userData, types.ShutdownBehaviorTerminate
	in.MetadataOptions = &types.InstanceMetadataOptionsRequest{
		HttpEndpoint: types.InstanceMetadataEndpointStateEnabled, HttpTokens: types.HttpTokensStateRequired, HttpPutResponseHopLimit: &s.hopLimit,
	}
	in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: &s.root, Ebs: &types.EbsBlockDevice{
		Encrypted: awssdk.Bool(true), KmsKeyId: optional(s.kmsKey), VolumeSize: &s.diskGiB, VolumeType: types.VolumeTypeGp3, DeleteOnTermination: awssdk.Bool(true),
	}}}
	if s.profile != "" {
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: &s.profile}
	}
	if s.reservation != "" {
		in.CapacityReservationSpecification = &types.CapacityReservationSpecification{
			CapacityReservationTarget: &types.CapacityReservationTarget{CapacityReservationId: &s.reservation},
		}
	}
	in.TagSpecifications = tagged(s.tags, s.resources()...)
}

// optional is nil for an empty text.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
