package aws_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"purser"
	"purser/providers"
	"purser/providers/aws"
	"purser/providers/aws/awstest"
)

// codes are what AWS may answer to a launch: status, code, and the kind that it is to us.
var codes = []struct {
	status int
	code   string
	kind   purser.Kind
}{
	{500, "InsufficientInstanceCapacity", purser.KindNoCapacity},
	{500, "InsufficientHostCapacity", purser.KindNoCapacity},
	{500, "InsufficientReservedInstanceCapacity", purser.KindNoCapacity},
	{500, "InsufficientCapacity", purser.KindNoCapacity},
	{400, "InsufficientVolumeCapacity", purser.KindNoCapacity},
	{400, "UnfulfillableCapacity", purser.KindNoCapacity},
	{400, "Unsupported", purser.KindNoCapacity},
	{400, "SpotMaxPriceTooLow", purser.KindNoCapacity},
	{400, "ReservationCapacityExceeded", purser.KindNoCapacity},
	{400, "InvalidCapacityReservationId.NotFound", purser.KindNoCapacity},
	{400, "InvalidCapacityReservationState", purser.KindNoCapacity},
	{400, "VcpuLimitExceeded", purser.KindQuota},
	{400, "InstanceLimitExceeded", purser.KindQuota},
	{400, "MaxSpotInstanceCountExceeded", purser.KindQuota},
	{400, "SpotInstanceCountExceeded", purser.KindQuota},
	{400, "MaxFleetCountExceeded", purser.KindQuota},
	{400, "VolumeLimitExceeded", purser.KindQuota},
	{400, "InsufficientFreeAddressesInSubnet", purser.KindQuota},
	{400, "PrivateIpAddressLimitExceeded", purser.KindQuota},
	{400, "NetworkInterfaceLimitExceeded", purser.KindQuota},
	{400, "SecurityGroupsPerInterfaceExceeded", purser.KindQuota},
	{400, "ResourceCountExceeded", purser.KindQuota},
	{400, "SomethingNewLimitExceeded", purser.KindQuota},
	{503, "RequestLimitExceeded", purser.KindThrottled},
	{400, "Throttling", purser.KindThrottled},
	{400, "ThrottlingException", purser.KindThrottled},
	{429, "", purser.KindThrottled},
	{400, "PendingVerification", purser.KindForbidden},
	{400, "Blocked", purser.KindForbidden},
	{403, "UnauthorizedOperation", purser.KindForbidden},
	{400, "AccessDenied", purser.KindForbidden},
	{400, "AccessDeniedException", purser.KindForbidden},
	{400, "OperationNotPermitted", purser.KindForbidden},
	{400, "AuthFailure.ServiceLinkedRoleCreationNotPermitted", purser.KindForbidden},
	{400, "KMS.AccessDeniedException", purser.KindForbidden},
	{401, "AuthFailure", purser.KindUnauthorized},
	{400, "OptInRequired", purser.KindUnauthorized},
	{400, "RequestExpired", purser.KindUnauthorized},
	{400, "ExpiredToken", purser.KindUnauthorized},
	{400, "InvalidClientTokenId", purser.KindUnauthorized},
	{403, "SignatureDoesNotMatch", purser.KindUnauthorized},
	{400, "IdempotentParameterMismatch", purser.KindConflict},
	{400, "InvalidLaunchTemplateName.NotFoundException", purser.KindUnavailable},
	{400, "InvalidLaunchTemplateId.NotFound", purser.KindUnavailable},
	{500, "InternalError", purser.KindUnavailable},
	{503, "Unavailable", purser.KindUnavailable},
	{502, "", purser.KindUnavailable},
	{400, "VPCIdNotSpecified", purser.KindInvalid},
	{400, "InvalidSubnetID.NotFound", purser.KindInvalid},
	{400, "InvalidGroup.NotFound", purser.KindInvalid},
	{400, "InvalidAMIID.NotFound", purser.KindInvalid},
	{400, "InvalidParameterValue", purser.KindInvalid},
	{400, "SomethingNew", purser.KindInvalid},
	{403, "SomethingNew", purser.KindForbidden},
}

// TestCodes sends each code in answer to RunInstances, and inside of CreateFleet's good
// answer, and holds it against its kind. Every error names the offer, the SDK asks once,
// and what a person can do about it stands in the hint.
func TestCodes(t *testing.T) {
	server := awstest.NewServer()
	t.Cleanup(server.Close)
	hinted := map[purser.Kind]bool{purser.KindNoCapacity: true, purser.KindQuota: true, purser.KindForbidden: true, purser.KindUnauthorized: true}
	check := func(t *testing.T, w *world, err error, call string, kind purser.Kind) {
		t.Helper()
		e := refusal(t, err, kind)
		if !strings.Contains(e.Message, string(onDemand.ID())) || hinted[kind] && e.Hint == "" {
			t.Errorf("the error does not name the offer or has no hint: %v", e)
		}
		if n := w.Calls()[call]; n != 1 {
			t.Errorf("%s was called %d times", call, n)
		}
		refused := kind == purser.KindNoCapacity || kind == purser.KindQuota || kind == purser.KindForbidden || kind == purser.KindInvalid
		if left := w.Templates("us-east-1"); refused != (len(left) == 0) {
			t.Errorf("after %s there are templates %v", kind, left)
		}
	}
	for _, c := range codes {
		t.Run(fmt.Sprint(c.status, c.code), func(t *testing.T) {
			w := newWorld(server)
			t.Cleanup(w.Close)
			w.Fault = func(action, _ string) (int, string, string) {
				if action != "ec2:RunInstances" {
					return 0, "", ""
				}
				return c.status, c.code, "for a test"
			}
			_, err := w.provider(t).Launch(t.Context(), request("lease-a", onDemand))
			check(t, w, err, "ec2:RunInstances", c.kind)
		})
		if c.code == "" || c.status == 403 || c.code == "IdempotentParameterMismatch" {
			continue // these say something of the call, not of a place
		}
		t.Run("fleet "+c.code, func(t *testing.T) {
			w := newWorld(server)
			t.Cleanup(w.Close)
			w.Refuse = func(_, zone, _, _ string) string {
				if zone == "use1-az1" {
					return c.code
				}
				return "InvalidParameterValue"
			}
			r := request("lease-a", onDemand, offer("g5.xlarge", "use1-az2", purser.OnDemand, 1))
			if c.kind == purser.KindThrottled || c.kind == purser.KindUnavailable {
				// The token gets this answer again when there is room: no use in asking.
				for range 2 {
					if in := launch(t, w.provider(t), r); in.State != providers.Gone || !strings.Contains(in.Reason, c.code) {
						t.Errorf("Launch gave %+v", in)
					}
					w.Refuse = nil
				}
				return
			}
			_, err := w.provider(t).Launch(t.Context(), r)
			check(t, w, err, "ec2:CreateFleet", c.kind)
		})
	}
}

// TestErrorsNameTheOffer whichever call of a launch fails, and say what to do.
func TestErrorsNameTheOffer(t *testing.T) {
	reserved := offer("g5.xlarge", "use1-az1", purser.Reserved, 0.01)
	for _, failing := range []string{
		"ec2:DescribeInstances", "ec2:DescribeLaunchTemplates", "ssm:GetParameter", "ec2:DescribeCapacityReservations", "ec2:CreateLaunchTemplate", "ec2:RunInstances",
	} {
		w := fresh(t)
		w.Reserve("us-east-1", awstest.Reservation{ID: "cr-1", Type: "g5.xlarge", Zone: "use1-az1", Total: 1, Free: 1, State: "active"})
		w.Fault = func(action, _ string) (int, string, string) {
			if action == failing {
				return 400, "AccessDenied", "no"
			}
			return 0, "", ""
		}
		_, err := w.provider(t).Launch(t.Context(), request("lease-a", reserved))
		if e := refusal(t, err, purser.KindForbidden); strings.Count(e.Message, string(reserved.ID())) != 1 || !strings.Contains(e.Message, failing) || e.Hint == "" {
			t.Errorf("%s: %v", failing, e)
		}
		if n := w.Calls()[failing]; n != 1 {
			t.Errorf("%s was called %d times", failing, n)
		}
	}
}

// TestTrap01CapacityIsA500 is trap 1: EC2 answers InsufficientInstanceCapacity with status
// 500, which the SDK by itself sends three times over five seconds.
func TestTrap01CapacityIsA500(t *testing.T) {
	for _, code := range []string{"InsufficientInstanceCapacity", "VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "SpotMaxPriceTooLow"} {
		w := fresh(t)
		w.Refuse = func(_, _, _, _ string) string { return code }
		// The environment must not bring the SDK's repetitions back.
		p := w.provider(t, func(c *aws.Config) { c.AWS.RetryMaxAttempts = 5 })
		begun := time.Now()
		_, err := p.Launch(t.Context(), request("lease-a", spot))
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("%s took %s", code, took)
		}
		if n := w.Calls()["ec2:RunInstances"]; n != 1 {
			t.Errorf("%s: RunInstances was called %d times", code, n)
		}
		want := purser.KindQuota
		if code == "InsufficientInstanceCapacity" || code == "SpotMaxPriceTooLow" {
			want = purser.KindNoCapacity
		}
		refusal(t, err, want)
	}
}

// TestTrap02FleetFailsInside is trap 2: an instant fleet answers with status 200, its
// refusals in errorSet, and no machine.
func TestTrap02FleetFailsInside(t *testing.T) {
	w := fresh(t)
	w.Refuse = func(_, zone, _, _ string) string {
		return map[string]string{"use1-az1": "InsufficientInstanceCapacity", "use1-az2": "VcpuLimitExceeded", "use1-az3": "RequestLimitExceeded"}[zone]
	}
	begun := time.Now()
	_, err := w.provider(t).Launch(t.Context(), request("lease-a", onDemand,
		offer("g5.xlarge", "use1-az2", purser.OnDemand, 1), offer("g5.xlarge", "use1-az3", purser.OnDemand, 1)))
	e := refusal(t, err, purser.KindNoCapacity) // of the lease's own place
	if !strings.Contains(e.Message, "VcpuLimitExceeded") || !strings.Contains(e.Message, "3 places") {
		t.Errorf("the error hides a place: %v", e)
	}
	if n := w.Calls()["ec2:CreateFleet"]; n != 1 || time.Since(begun) > 2*time.Second {
		t.Errorf("CreateFleet was called %d times in %s", n, time.Since(begun))
	}
}

// TestTrap08ZonesAreIds is trap 8: names of zones differ between accounts, so that offers
// have ids; both are sent as what they are, one of them alone.
func TestTrap08ZonesAreIds(t *testing.T) {
	for zone, want := range map[string][2]string{"use1-az1": {"", "use1-az1"}, "use1-atl2-az1": {"", "use1-atl2-az1"}, "us-east-1a": {"us-east-1a", ""}} {
		w := fresh(t)
		launch(t, w.provider(t), request("lease-a", offer("g5.xlarge", zone, purser.OnDemand, 1)))
		if s := w.only(t).Settings; s.Get("Placement.AvailabilityZone") != want[0] || s.Get("Placement.AvailabilityZoneId") != want[1] {
			t.Errorf("%s was sent as %q and %q", zone, s.Get("Placement.AvailabilityZone"), s.Get("Placement.AvailabilityZoneId"))
		}
	}
}

// TestSecretsStayOut keeps what AWS says of a signature, and the join token, out of errors.
func TestSecretsStayOut(t *testing.T) {
	w := fresh(t)
	w.Fault = func(action, _ string) (int, string, string) {
		if action == "ec2:RunInstances" {
			return 403, "SignatureDoesNotMatch", "the canonical string was x-amz-security-token:hush"
		}
		return 0, "", ""
	}
	_, err := w.provider(t).Launch(t.Context(), request("lease-a", onDemand))
	for e := err; e != nil; e = unwrap(e) {
		if s := fmt.Sprintf("%v %+v", e, e); strings.Contains(s, "hush") || strings.Contains(s, "join-lease-a") {
			t.Errorf("a secret stands in %s", s)
		}
	}
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

// TestEnvironment reaches another endpoint, with the SDK's own variables.
func TestEnvironment(t *testing.T) {
	w := fresh(t)
	w.Lacks = foreign
	home := t.TempDir()
	for k, v := range map[string]string{
		"AWS_ENDPOINT_URL": awssdk.ToString(w.Config(nil).BaseEndpoint), "AWS_ACCESS_KEY_ID": w.Key, "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": home + "/config", "AWS_SHARED_CREDENTIALS_FILE": home + "/credentials", "AWS_MAX_ATTEMPTS": "4",
	} {
		t.Setenv(k, v)
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := w.provider(t, func(c *aws.Config) { c.AWS = cfg })
	in := launch(t, p, request("lease-a", onDemand, offer("g6.xlarge", "use1-az2", purser.OnDemand, 1)))
	if in.ID != w.only(t).ID || w.Calls()["ec2:RunInstances"] != 1 {
		t.Errorf("got %+v after calls %v", in, w.Calls())
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("List gave %v, %v", all, err)
	}
	if err := p.Terminate(t.Context(), request("lease-a", onDemand).Lease); err != nil {
		t.Error(err)
	}
}

// TestNoCredentials are credentials that cannot be had.
func TestNoCredentials(t *testing.T) {
	w := fresh(t)
	p := w.provider(t, func(c *aws.Config) {
		c.AWS.Credentials = awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
			return awssdk.Credentials{}, fmt.Errorf("no role")
		})
	})
	_, err := p.List(t.Context())
	if e := refusal(t, err, purser.KindUnauthorized); e.Hint == "" {
		t.Errorf("no hint: %v", e)
	}
	_, err = aws.New(aws.Config{Installation: "x", Regions: []string{"us-east-1"}})
	refusal(t, err, purser.KindUnauthorized)
}

// TestConfig refuses settings that cannot work.
func TestConfig(t *testing.T) {
	w := fresh(t)
	for name, spoil := range map[string]func(*aws.Config){
		"installation": func(c *aws.Config) { c.Installation = "" },
		"wildcard":     func(c *aws.Config) { c.Installation = "our*" },
		"regions":      func(c *aws.Config) { c.Regions = nil },
		"zone":         func(c *aws.Config) { c.Regions = []string{"us-east-1a"} },
		"hops":         func(c *aws.Config) { c.HopLimit = 3 },
		"price":        func(c *aws.Config) { c.MaxPriceFactor = -1 },
		"disk":         func(c *aws.Config) { c.DiskGiB = 1 },
		"parallel":     func(c *aws.Config) { c.Parallel = -1 },
		"queue":        func(c *aws.Config) { c.Queues = []aws.Queue{{URL: "http://x"}} },
		"tag":          func(c *aws.Config) { c.ReservationTag = "team" },
		"family":       func(c *aws.Config) { c.Images = map[string]aws.Image{"sparc": {Parameter: "ami-1"}} },
		"image":        func(c *aws.Config) { c.Images = map[string]aws.Image{aws.FamilyX86: {}} },
	} {
		c := w.config
		spoil(&c)
		_, err := aws.New(c)
		if e := refusal(t, err, purser.KindInvalid); e.Message == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	own := w.provider(t, func(c *aws.Config) {
		c.Images = map[string]aws.Image{aws.FamilyNvidia: {Parameter: "ami-own", RootDevice: "/dev/sda1"}}
	})
	launch(t, own, request("lease-a", onDemand))
	if s := w.only(t).Settings; s.Get("ImageId") != "ami-own" || s.Get("BlockDeviceMapping.1.DeviceName") != "/dev/sda1" {
		t.Errorf("the machine was started with %v", s)
	}
}
