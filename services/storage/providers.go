package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	gcs "google.golang.org/api/storage/v1"

	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/safedial"
)

// defaultRegion is that of S3's API where none is named: AWS's first, which other
// providers accept.
const defaultRegion = "us-east-1"

type s3Bucket struct {
	client *s3.Client
	bucket string
}

func openS3(u *livekit.Upload, client *http.Client) bucket {
	options := s3.Options{
		Region: u.Region, HTTPClient: client, UsePathStyle: u.ForcePathStyle, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(u.AccessKey, u.Opened.Reveal(), ""),
		// Checksums that S3-compatible servers do not know are left out.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if options.Region == "" {
		options.Region = defaultRegion
	}
	if u.Endpoint != "" {
		options.BaseEndpoint = &u.Endpoint
	}
	return &s3Bucket{s3.New(options), u.Bucket}
}

func (b *s3Bucket) put(ctx context.Context, key string, data []byte) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: bytes.NewReader(data)})
	return err
}

func (b *s3Bucket) get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

func (b *s3Bucket) remove(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.bucket, Key: &key})
	return err
}

type gcsBucket struct {
	objects *gcs.ObjectsService
	bucket  string
}

// openGCS uses Google's client of the JSON API: the other one brings gRPC along,
// which a check does not need.
func openGCS(ctx context.Context, u *livekit.Upload, client *http.Client) (bucket, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
	account, err := google.JWTConfigFromJSON([]byte(u.Opened.Reveal()), gcs.DevstorageReadWriteScope)
	if err != nil {
		return nil, errBadCredentials
	}
	service, err := gcs.NewService(ctx, option.WithHTTPClient(account.Client(ctx)))
	if err != nil {
		return nil, err
	}
	return &gcsBucket{service.Objects, u.Bucket}, nil
}

func (b *gcsBucket) put(ctx context.Context, key string, data []byte) error {
	_, err := b.objects.Insert(b.bucket, &gcs.Object{Name: key}).Media(bytes.NewReader(data)).Context(ctx).Do()
	return err
}

func (b *gcsBucket) get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := b.objects.Get(b.bucket, key).Context(ctx).Download()
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

func (b *gcsBucket) remove(ctx context.Context, key string) error {
	return b.objects.Delete(b.bucket, key).Context(ctx).Do()
}

type azureContainer struct {
	client    *azblob.Client
	container string
}

func openAzure(u *livekit.Upload, client *http.Client) (bucket, error) {
	key, err := azblob.NewSharedKeyCredential(u.AccountName, u.Opened.Reveal())
	if err != nil {
		return nil, errBadCredentials
	}
	account, err := azblob.NewClientWithSharedKeyCredential("https://"+u.AccountName+".blob.core.windows.net/", key, &azblob.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: client, Retry: policy.RetryOptions{MaxRetries: -1}}})
	return &azureContainer{account, u.Container}, err
}

func (b *azureContainer) put(ctx context.Context, key string, data []byte) error {
	_, err := b.client.UploadBuffer(ctx, b.container, key, data, nil)
	return err
}

func (b *azureContainer) get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := b.client.DownloadStream(ctx, b.container, key, nil)
	return out.Body, err
}

func (b *azureContainer) remove(ctx context.Context, key string) error {
	_, err := b.client.DeleteBlob(ctx, b.container, key, nil)
	return err
}

var errBadCredentials = errors.New("the credentials cannot be read")

// reason is why a step failed, as a tenant may read it: the provider's code, or what
// kind of failure it was.
func reason(err error) string {
	var aws smithy.APIError
	var google *googleapi.Error
	var azure *azcore.ResponseError
	var token *oauth2.RetrieveError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errBadCredentials):
		return "the credentials cannot be read"
	case errors.Is(err, errOtherContent):
		return "the object was read back with other content"
	case errors.As(err, &aws):
		return code(aws.ErrorCode())
	case errors.As(err, &google):
		return code(http.StatusText(google.Code))
	case errors.As(err, &azure):
		return code(azure.ErrorCode)
	case errors.As(err, &token):
		return "the provider does not accept the credentials"
	case errors.Is(err, safedial.ErrRefused), errors.Is(err, safedial.ErrURL):
		return "the endpoint is not allowed"
	case errors.Is(err, safedial.ErrLookup):
		return "the endpoint's name does not resolve"
	case errors.Is(err, context.DeadlineExceeded):
		return "the provider did not answer in time"
	}
	return "the provider could not be reached"
}

// code is a provider's error code, cut to what a code can be.
func code(text string) string {
	const most = 64
	for i, r := range text {
		if i >= most || (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != ' ' && r != '_' && r != '-' {
			text = text[:i]
			break
		}
	}
	if text == "" {
		return "the provider refused the request"
	}
	return text
}
