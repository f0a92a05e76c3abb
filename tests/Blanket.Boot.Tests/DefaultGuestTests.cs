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

    [Theory]
    [InlineData("q35")]
    [InlineData("pc")]
    public async Task LogNamesL0AndItsDevices(string machine)
    {
        BlanketCommand run = await BlanketCommand.RunAsync(BootDirectory.For($"{nameof(LogNamesL0AndItsDevices)}-{machine}"), ["--machine", machine]);
        run.RequireStatus(0);
        foreach (string text in new[] { "blanket: L0 ", "virtio console, modern", "virtio entropy, modern", "virtio block, modern", "virtio net, modern", "serial \"guest0.disk0\"" })
        {
            run.RequireInLog("blanket", text);
        }
    }
}
