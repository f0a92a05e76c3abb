using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

/// <summary>What a user sees who runs <c>./blanket run --headless</c> after cloning.</summary>
public sealed class DefaultGuestTests
{
    [Fact]
    public async Task PassesItsSelfTest()
    {
        BlanketCommand run = await BlanketCommand.RunAsync(BootDirectory.For(nameof(PassesItsSelfTest)), []);
        run.RequireStatus(0);
        run.RequireInLog("guest", "selftest: disk ok");
        run.RequireInLog("guest", "selftest: ping ok");
        run.RequireInLog("guest", "selftest: passed");
    }

    /// <summary>GRUB on both kinds of firmware, both machine types, and devices that know only the virtio of before 1.0.</summary>
    [Theory]
    [InlineData("q35", "uefi", "modern")]
    [InlineData("pc", "bios", "legacy")]
    public async Task LogNamesL0AndItsDevices(string machine, string firmware, string transport)
    {
        string[] qemu = transport == "legacy" ? ["--qemu-arg=-global", "--qemu-arg=virtio-pci.disable-modern=on"] : [];
        BlanketCommand run = await BlanketCommand.RunAsync(
            BootDirectory.For($"{nameof(LogNamesL0AndItsDevices)}-{machine}"), ["--machine", machine, "--boot", firmware, .. qemu]);
        run.RequireStatus(0);
        run.RequireInLog("guest", "selftest: passed");
        foreach (string text in new[] { "L0 ", $"virtio console, {transport}", $"virtio entropy, {transport}", $"virtio block, {transport}", $"virtio net, {transport}", "serial \"guest0.disk0\"" })
        {
            run.RequireInLog("blanket", text);
        }
    }
}
