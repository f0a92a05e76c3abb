using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

/// <summary>Blanket as a PVH domain of unmodified Xen, with the same guests as elsewhere.</summary>
public sealed class XenTests
{
    private const int GuestCrashed = 3;
    private const int Starts = 4;
    private const int Records = 40;
    private static readonly string[] s_l0 = ["--l0", "xen"];

    [Fact]
    public async Task DefaultGuestPassesItsSelfTest()
    {
        BlanketCommand run = await BlanketCommand.RunAsync(Directory(nameof(DefaultGuestPassesItsSelfTest)), s_l0);
        run.RequireStatus(0);
        foreach (string text in new[] { "selftest: disk ok", "selftest: dhcp ", "selftest: ping ok", "selftest: passed" })
        {
            run.RequireInLog("guest", text);
        }

        foreach (string text in new[] { "L0 Xen", "xen vbd/51712 of domain 0", "xen vif/0 of domain 0" })
        {
            run.RequireInLog("blanket", text);
        }

        run.RequireInLog("xen", "reason code 0");
    }

    /// <summary>Two guests at the same time, each with its disk and on the same bridge; Debian's cloud and standard kernels.</summary>
    [Fact]
    public async Task TwoGuestsPassTheirSelfTests()
    {
        BootDirectory directory = Directory(nameof(TwoGuestsPassTheirSelfTests));
        string[] names = ["cloud", "standard"];
        TestGuest[] guests = [await TestGuest.CreateAsync(), await TestGuest.CreateAsync("linux-image-amd64")];
        string[] configurations = [.. guests.Zip(names, (guest, name) => guest.Write(
            directory, name, "panic=-1 blanket.selftest", TestGuest.Disks(directory.CreateDisk(name + ".raw", 64)), "vif = [ \"\" ]"))];
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [.. s_l0, .. configurations]);
        run.RequireStatus(0);
        foreach (string name in names)
        {
            run.RequireInLog(name, "selftest: passed");
            run.RequireInLog("blanket", $"event guest-poweroff name={name}");
        }
    }

    [Fact]
    public async Task CrashedGuestIsTold()
    {
        BootDirectory directory = Directory(nameof(CrashedGuestIsTold));
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.Write(directory, "crashing", "rdinit=/nonexistent panic=-1", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)));
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [.. s_l0, configuration]);
        run.RequireStatus(GuestCrashed);
        run.RequireInLog("crashing", "Kernel panic");
        run.RequireInLog("blanket", "event guest-crash name=crashing");
    }

    /// <summary>A guest that reboots gets a new domain, its disk keeps what it wrote, and the old domain leaves no frame behind.</summary>
    [Fact]
    public async Task RebootedGuestStartsAgain()
    {
        BootDirectory directory = Directory(nameof(RebootedGuestStartsAgain));
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.WriteWithInit(
            directory, "rebooting", "reboot.sh", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)), "on_reboot = \"restart\"");
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [.. s_l0, configuration]);
        run.RequireStatus(0);
        run.RequireInLog("rebooting", string.Create(CultureInfo.InvariantCulture, $"reboot: start {Starts}"));
        FrameUse.RequireEqual(directory, Starts);
    }

    /// <summary>The machine loses power while a guest writes: what the guest was told to be on its disk is there.</summary>
    [Fact]
    public async Task AcknowledgedRecordsSurviveTheEndOfTheMachine()
    {
        BootDirectory directory = Directory(nameof(AcknowledgedRecordsSurviveTheEndOfTheMachine));
        TestGuest guest = await TestGuest.CreateAsync();
        string disk = directory.CreateDisk("disk.raw", 4);
        string configuration = guest.WriteWithInit(directory, "writing", "records.sh", TestGuest.Disks(disk));
        await using (XenRun run = await XenRun.StartAsync(directory, configuration, XenDomainType.Pvh, native: false))
        {
            await run.WaitForAsync(string.Create(CultureInfo.InvariantCulture, $"{RecordDisk.Acknowledged}{Records}"));
            await run.KillAsync();
        }

        RecordDisk.RequireAcknowledged(directory, disk, System.IO.File.ReadLines(directory.PathOf("writing.log")), Records);
    }

    /// <summary>L0 saves and restores, or migrates, the machine: its guest goes on with verified I/O, no error, nothing lost.</summary>
    [Theory]
    [InlineData("save-restore")]
    [InlineData("migrate")]
    public async Task GuestGoesOnWith(string act)
    {
        BootDirectory directory = Directory($"{nameof(GuestGoesOnWith)}-{act}");
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.WriteWithInit(directory, "verifying", "verify.sh", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)));
        await using XenRun run = await XenRun.StartAsync(directory, configuration, XenDomainType.Pvh, native: false);
        await XenScenario.MoveWhileVerifyingAsync(run, act);
    }

    /// <summary>L0 wants the machine to end: its guest is asked to shut down, and the machine ends when it has.</summary>
    [Theory]
    [InlineData("shutdown", 0)]
    [InlineData("reboot", 1)]
    public async Task GuestsShutDownFirstAt(string act, int reason)
    {
        BootDirectory directory = Directory($"{nameof(GuestsShutDownFirstAt)}-{act}");
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.WriteWithInit(directory, "verifying", "verify.sh", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)), "on_poweroff = \"restart\"");
        await using XenRun run = await XenRun.StartAsync(directory, configuration, XenDomainType.Pvh, native: false);
        await run.WaitForAsync("verified 2");
        await run.ActAsync(act);
        await run.RequireSuccessAsync();
        Assert.Contains("event guest-poweroff name=verifying", directory.ReadLog("blanket"), System.StringComparison.Ordinal);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"reason code {reason}"), directory.ReadLog("xen"), System.StringComparison.Ordinal);
    }

    private static BootDirectory Directory(string test) => BootDirectory.For("Xen-" + test);
}
