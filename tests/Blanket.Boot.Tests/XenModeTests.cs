using System.Linq;
using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

/// <summary>What differs between the kinds of domains that Xen runs Blanket as.</summary>
public sealed class XenModeTests
{
    // Scenarios of the test kernel: one for each CPU.
    private static readonly string[] s_guests = ["batches", "privileged"];

    /// <summary>The default guest of a machine that GRUB starts from an emulated disk: its own disk and network are seen once, by their PV devices.</summary>
    [Fact]
    public async Task DefaultGuestPassesItsSelfTestInAnHvmDomain()
    {
        BlanketCommand run = await BlanketCommand.RunAsync(
            BootDirectory.For($"Xen-{nameof(DefaultGuestPassesItsSelfTestInAnHvmDomain)}"), ["--l0", "xen", "--l0-mode", "hvm"]);
        run.RequireStatus(0);
        run.RequireInLog("guest", "selftest: passed");
        foreach (string text in new[] { "emulated disks and network interfaces are unplugged", "xen vbd/", "xen vif/0 of domain 0" })
        {
            run.RequireInLog("blanket", text);
        }

        run.RequireInLog("xen", "reason code 0");
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
