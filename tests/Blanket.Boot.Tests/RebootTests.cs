using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

public sealed class RebootTests
{
    private const int Starts = 4;

    /// <summary>A guest that reboots gets a new domain, its disk keeps what it wrote, and the old domain leaves no frame behind.</summary>
    [Fact]
    public async Task RebootedGuestStartsAgain()
    {
        BootDirectory directory = BootDirectory.For(nameof(RebootedGuestStartsAgain));
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.WriteWithInit(
            directory, "rebooting", "reboot.sh", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)), "on_reboot = \"restart\"");
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [configuration]);
        run.RequireStatus(0);
        run.RequireInLog("rebooting", "reboot: start 1");
        run.RequireInLog("rebooting", "reboot: start 4");
        run.RequireInLog("blanket", "event guest-reboot name=rebooting");
        Audit.RequireNothingLeft(directory, Starts + 1);
    }
}
