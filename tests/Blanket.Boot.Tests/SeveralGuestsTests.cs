using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

public sealed class SeveralGuestsTests
{
    /// <summary>Two guests at the same time, each with its disk and on the same bridge, do not get in each other's way.</summary>
    [Fact]
    public async Task BothPassTheirSelfTests()
    {
        BootDirectory directory = BootDirectory.For(nameof(BothPassTheirSelfTests));
        TestGuest guest = await TestGuest.CreateAsync();
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [Write(guest, directory, "first"), Write(guest, directory, "second")]);
        run.RequireStatus(0);
        run.RequireInLog("first", "selftest: passed");
        run.RequireInLog("second", "selftest: passed");
        run.RequireInLog("blanket", "event guest-poweroff name=first");
        run.RequireInLog("blanket", "event guest-poweroff name=second");
    }

    private static string Write(TestGuest guest, BootDirectory directory, string name) =>
        guest.Write(
            directory, name, "panic=-1 blanket.selftest", TestGuest.Disks(directory.CreateDisk(name + ".raw", 64)), "vif = [ \"\" ]");
}
