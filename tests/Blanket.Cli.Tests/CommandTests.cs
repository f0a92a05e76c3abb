using System;
using System.IO;
using System.Threading.Tasks;
using Blanket.Core.Bundles;
using Blanket.Lab.Hosting;

namespace Blanket.Cli.Tests;

/// <summary>The command as a script sees it: its exit status and what it says.</summary>
public sealed class CommandTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private static Task<ToolResult> BlanketAsync(params string[] arguments) =>
        Tool.RunAsync("dotnet", [typeof(Report).Assembly.Location, .. arguments]);

    [Theory]
    [InlineData("run --headless --timeout soon", "soon")]
    [InlineData("run --headless --timeout 0", "--timeout 0, expected a number from 1 to")]
    [InlineData("run --headless --cpus 0", "--cpus 0, expected a number from 1 to 255")]
    [InlineData("run --headless --memory 1", "--memory 1, expected a number from 16 to")]
    [InlineData("run --headless --forward 80", "--forward 80, expected HOSTPORT:GUESTPORT")]
    [InlineData("run --headless --machine isapc", "isapc")]
    [InlineData("run --headless /nonexistent.cfg", "/nonexistent.cfg: cannot be read")]
    [InlineData("run --headless --l0 vmware", "vmware")]
    [InlineData("run --headless --l0-mode hvm", "--l0-mode goes with --l0 xen")]
    [InlineData("debug --l0 xen", "expected --l0 kvm")]
    [InlineData("bench --l0 xen --icount", "--icount goes with --l0 kvm")]
    [InlineData("bench --l0 xen --bed xen", "--bed xen is not of this --l0, expected native, emulated, blanket")]
    [InlineData("bench --bed emulated", "--bed emulated is not of this --l0, expected native, xen, blanket")]
    [InlineData("bench --profile fork", "it needs --icount")]
    [InlineData("run", "not a terminal, expected --headless")]
    [InlineData("bundle", "Required")]
    [InlineData("frobnicate", "frobnicate")]
    public async Task BadUsageIsStatus2(string arguments, string message)
    {
        ToolResult result = await BlanketAsync(arguments.Split(' '));
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task BadConfigurationIsStatus2WithItsPlaceAndNothingDone()
    {
        string file = _directory.File("g.cfg", "name = \"g\"\nmemory = lots\n");
        string output = Path.Combine(_directory.Path, "bundle");
        ToolResult result = await BlanketAsync("bundle", file, "-o", output);
        Assert.Equal(2, result.ExitCode);
        Assert.Equal($"error: {file}:2: unexpected 'lots', expected a number, a \"string\" or a [list]\n", result.Error);
        Assert.False(File.Exists(output));
    }

    [Fact]
    public async Task BadKernelIsStatus2WithItsPlace()
    {
        _directory.File("k", "nothing");
        string file = _directory.File("g.cfg", "name = \"g\"\nmemory = 128\nkernel = \"k\"\n");
        ToolResult result = await BlanketAsync("bundle", file, "-o", Path.Combine(_directory.Path, "bundle"));
        Assert.Equal(2, result.ExitCode);
        Assert.StartsWith($"error: {file}:3: kernel {_directory.Path}/k is not a kernel", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WritesABundleThatTheReaderTakes()
    {
        _directory.File("k", TinyKernel.Image("x", powerOff: true));
        _directory.File("d.raw", new byte[512]);
        string file = _directory.File("g.cfg", "name = 'g'\nmemory = 128\nkernel = 'k'\ndisk = [ 'd.raw,raw,xvda,rw' ]\nvif = [ '' ]\ncolour = 1\n");
        string output = Path.Combine(_directory.Path, "bundle");
        ToolResult refused = await BlanketAsync("bundle", file, "-o", output);
        Assert.Contains("can start as a PVH guest only", refused.Error, StringComparison.Ordinal);
        _directory.File("k", KernelTests.Elf([1]));
        ToolResult result = await BlanketAsync("bundle", file, "-o", output, "--options", "loglevel=debug");
        Assert.Equal((0, $"warning: {file}:6: unknown key 'colour' is ignored\n"), (result.ExitCode, result.Error));
        Assert.Contains("disk with serial guest0.disk0: ", result.Text, StringComparison.Ordinal);
        Assert.Contains("NIC 0: bridge xenbr0", result.Text, StringComparison.Ordinal);
        Assert.Equal(BundleStatus.Ok, BundleReader.Open(File.ReadAllBytes(output), out BundleReader reader));
        Assert.Equal("loglevel=debug"u8, reader.Options);
    }

    [Fact]
    public async Task HelpNamesEveryCommand()
    {
        ToolResult result = await BlanketAsync("--help");
        Assert.Equal(0, result.ExitCode);
        Assert.All(["run", "build", "doctor", "debug", "bundle"], command => Assert.Contains($"  {command}", result.Text, StringComparison.Ordinal));
    }
}
