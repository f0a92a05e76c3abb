using System.Threading.Tasks;
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

/// <summary>
/// The bed of <c>--l0 xen</c> with a Linux kernel in Blanket's place, whose drivers for Xen are beyond doubt: what fails here is the bed.
/// </summary>
public sealed class XenBedTests
{
    [Fact]
    public async Task LinuxPassesItsSelfTest()
    {
        BlanketCommand run = await BlanketCommand.RunAsync(BootDirectory.For($"Xen-{nameof(LinuxPassesItsSelfTest)}"), ["--l0", "xen", "--native"]);
        run.RequireStatus(0);
        run.RequireInLog("guest", "Hypervisor detected: Xen HVM");
        run.RequireInLog("guest", "selftest: passed");
        run.RequireInLog("xen", "reason code 0");
    }

    [Theory]
    [InlineData("save-restore")]
    [InlineData("migrate")]
    public async Task LinuxGoesOnWith(string act)
    {
        BootDirectory directory = BootDirectory.For($"Xen-{nameof(LinuxGoesOnWith)}-{act}");
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.WriteWithInit(directory, "verifying", "verify.sh", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)));
        await using XenRun run = await XenRun.StartAsync(directory, configuration, XenDomainType.Pvh, native: true);
        await XenScenario.MoveWhileVerifyingAsync(run, act);
        await XenScenario.EndAsync(run);
    }
}
