using System;
using System.Linq;
using System.Threading.Tasks;
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

/// <summary>What differs between the kinds of domains that Xen runs Blanket as.</summary>
public sealed class XenModeTests
{
    // Scenarios of the test kernel: one for each CPU.
    private static readonly string[] s_guests = ["batches", "privileged"];

    /// <summary>
    /// A machine that GRUB starts from an emulated disk: its own disk and network are seen once, by their PV devices; L0 saves and restores it while its guest
    /// verifies its disk and asks the outside, and shuts it down.
    /// </summary>
    [Fact]
    public async Task HvmDomainIsSavedRestoredAndShutDown()
    {
        BootDirectory directory = BootDirectory.For($"Xen-{nameof(HvmDomainIsSavedRestoredAndShutDown)}");
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.WriteWithInit(directory, "verifying", "verify.sh", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)), "vif = [ \"\" ]");
        await using XenRun run = await XenRun.StartAsync(directory, configuration, XenDomainType.Hvm, native: false);
        await run.WaitForAsync("verified 1");
        await XenScenario.RequireAsync(run, "ping before", "ok");
        await XenScenario.MoveWhileVerifyingAsync(run, "save-restore");
        await XenScenario.RequireAsync(run, "ping after", "ok");
        await XenScenario.EndByL0Async(run, directory, "shutdown", 0);

        string log = directory.ReadLog("blanket");
        Assert.Contains("xen vbd/", log, StringComparison.Ordinal);
        Assert.Contains("xen vif/0 of domain 0", log, StringComparison.Ordinal);

        // Of each of the two domains.
        Assert.Equal(2, log.Split('\n').Count(line => line.Contains("emulated disks and network interfaces are unplugged", StringComparison.Ordinal)));
    }

    /// <summary>Two CPUs that receive events, a guest on each, and an end in order.</summary>
    [Theory]
    [InlineData("hvm")]
    public async Task GuestsRunOnAllCpus(string mode)
    {
        BootDirectory directory = BootDirectory.For($"Xen-{nameof(GuestsRunOnAllCpus)}-{mode}");
        string[] guests = [.. s_guests.Select((name, cpu) => TestKernel.Write(directory, name, $"only={name}", $"cpus = \"{cpu}\""))];
        BlanketCommand run = await BlanketCommand.RunAsync(directory, ["--l0", "xen", "--l0-mode", mode, "--cpus", "2", .. guests]);
        run.RequireStatus(0);
        run.RequireInLog("blanket", "L0 Xen");
        run.RequireInLog("blanket", "by Xen's clock");
        run.RequireInLog("blanket", "CPUs: 2 of 2 online");
        foreach (string name in s_guests)
        {
            run.RequireInLog(name, $"scenario {name}: passed");
        }

        run.RequireInLog("xen", "reason code 0");
        if (mode == "hvm")
        {
            run.RequireInLog("blanket", "emulated disks and network interfaces are unplugged");
        }
    }
}
