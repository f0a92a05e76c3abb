using System.Globalization;
using System.Threading.Tasks;
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

/// <summary>Blanket as a PVH domain of unmodified Xen, with the same guests as elsewhere.</summary>
public sealed class XenTests
{
    private const int GuestCrashed = 3;
    private const int Starts = 4;
    private const int Records = 40;
    private const long KiBPerMiB = 1024;
    private const long BytesPerSector = 512;
    private const long GrownSectors = 16384;

    /// <summary>Of Xen's range, like those that the bed gives.</summary>
    private const string OtherAddress = "00:16:3e:00:ff:01";
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

        foreach (string text in new[] { "L0 Xen", "event channels have the FIFO ABI", "xen vbd/51712 of domain 0", "xen vif/0 of domain 0" })
        {
            run.RequireInLog("blanket", text);
        }

        run.RequireInLog("xen", "reason code 0");
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
        Audit.RequireNothingLeft(directory, Starts + 1);
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
        Assert.Contains("by Xen's clock", directory.ReadLog("blanket"), System.StringComparison.Ordinal);
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
        await XenScenario.EndByL0Async(run, directory, act, reason);
    }

    /// <summary>
    /// While a guest verifies its disk, L0 takes memory of the machine, more than is free, so that the guest shrinks, and gives it back; backends close and open again;
    /// another disk goes away and comes back; the first one grows; and the network interface goes away and another one comes in its place.
    /// </summary>
    [Fact]
    public async Task MachineFollowsWhatL0DoesToIt()
    {
        BootDirectory directory = Directory(nameof(MachineFollowsWhatL0DoesToIt));
        TestGuest guest = await TestGuest.CreateAsync();
        string[] disks = [directory.CreateDisk("disk.raw", 4), directory.CreateDisk("other.raw", 4)];
        string configuration = guest.WriteWithInit(directory, "verifying", "verify.sh", TestGuest.Disks(disks), "vif = [ \"\" ]", "memory_min = 128");
        await using XenRun run = await XenRun.StartAsync(directory, configuration, XenDomainType.Pvh, native: false, spareMiB: 48, options: "memory=share");
        await run.WaitForAsync("verified 1");

        long whole = run.MemoryMiB;
        Assert.Equal(whole, await ListedMemoryAsync(run));
        await run.ActAsync(Invariant($"memory {whole - 32}"));
        Assert.Equal(32 * KiBPerMiB, await TakenBackAsync(run, 32));
        Assert.Equal(whole - 32, await ListedMemoryAsync(run));
        await run.ActAsync(Invariant($"memory {whole - 200}"));
        Assert.InRange(await TakenBackAsync(run, 200), 32 * KiBPerMiB, 199 * KiBPerMiB);
        await run.WaitForAsync(TakenBack(200, 200));
        Assert.Equal(whole - 200, await ListedMemoryAsync(run));
        await run.ActAsync(Invariant($"memory {whole}"));
        Assert.Equal(0, await TakenBackAsync(run, 0));
        Assert.Equal(whole, await ListedMemoryAsync(run));
        await XenScenario.GoesOnAsync(run, "ballooning");

        await XenScenario.RequireAsync(run, "ping first", "ok");
        await run.ActAsync("reopen vbd/51712");
        await run.ActAsync("reopen vif/0");
        await XenScenario.GoesOnAsync(run, "reopening");
        await XenScenario.RequireAsync(run, "ping reopened", "ok");

        await XenScenario.RequireAsync(run, "read xvdb 1", "ok");
        await run.ActAsync("detach 51728");
        await XenScenario.RequireAsync(run, "read xvdb 2", "failed");
        await run.ActAsync("attach 51728=vdb");
        await XenScenario.RequireAsync(run, "read xvdb 3", "ok");

        await run.ResizeDiskAsync(0, GrownSectors * BytesPerSector);
        await XenScenario.RequireAsync(run, Invariant($"grown xvda {GrownSectors}"), "ok");
        await XenScenario.GoesOnAsync(run, "growing");

        await run.ActAsync("detach-vif 0");
        await XenScenario.RequireAsync(run, "silent without", "ok");
        await run.ActAsync($"attach-vif {OtherAddress}");
        await run.WaitForAsync(line => line.Contains($"xen vif/0 of domain 0, MAC {OtherAddress}, ", System.StringComparison.Ordinal), OtherAddress);
        await XenScenario.RequireAsync(run, "ping attached", "ok");
        await XenScenario.EndAsync(run);
    }

    /// <summary>The machine's memory in MiB as xl shows it.</summary>
    private static async Task<long> ListedMemoryAsync(XenRun run)
    {
        await run.ActAsync("list");
        string[] columns = run.LastAfter("bed: blanket ")!.Split(' ', System.StringSplitOptions.RemoveEmptyEntries);
        return long.Parse(columns[1], CultureInfo.InvariantCulture);
    }

    /// <summary>KiB that Blanket says it has given back when L0 wants so many MiB.</summary>
    private static async Task<long> TakenBackAsync(XenRun run, long wantedMiB)
    {
        string end = TakenBack(0, wantedMiB)[(TakenBackBeginning.Length + 1)..];
        string line = await run.WaitForAsync(
            line => line.StartsWith(TakenBackBeginning, System.StringComparison.Ordinal) && line.EndsWith(end, System.StringComparison.Ordinal), TakenBackBeginning + end);
        return long.Parse(line[TakenBackBeginning.Length..^end.Length], CultureInfo.InvariantCulture);
    }

    private const string TakenBackBeginning = "blanket: xen: L0 has ";

    private static string TakenBack(long givenMiB, long wantedMiB) =>
        Invariant($"{TakenBackBeginning}{givenMiB * KiBPerMiB} KiB of the machine's memory back, wants {wantedMiB * KiBPerMiB}");

    private static string Invariant(System.FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static BootDirectory Directory(string test) => BootDirectory.For("Xen-" + test);
}
