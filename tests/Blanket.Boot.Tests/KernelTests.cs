using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

/// <summary>Kernels of Debian's that are not the small guest's usual ones.</summary>
public sealed class KernelTests
{
    /// <summary>Linux 6.12, as Debian offers it for Debian 12 besides 6.1.</summary>
    [Theory]
    [InlineData("linux-image-6.12-cloud-amd64")]
    [InlineData("linux-image-6.12-amd64")]
    public async Task PassesItsSelfTest(string package)
    {
        BootDirectory directory = BootDirectory.For($"{nameof(KernelTests)}-{package}");
        TestGuest guest = await TestGuest.CreateAsync(package);
        string configuration = guest.Write(
            directory, "guest", "panic=-1 blanket.selftest", TestGuest.Disks(directory.CreateDisk("disk.raw", 64)), "vif = [ \"\" ]");
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [configuration]);
        run.RequireStatus(0);
        run.RequireInLog("guest", "guest: kernel 6.12.");
        run.RequireInLog("guest", "selftest: passed");
    }
}
