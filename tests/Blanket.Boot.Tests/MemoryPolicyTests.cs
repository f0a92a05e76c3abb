using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json.Nodes;
using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

public sealed class MemoryPolicyTests
{
    private const int LinuxMiB = 256;
    private const int FloorMiB = 128;
    private const int StubbornMiB = 48;

    // What a start needs to be free besides the guest's memory, and its bundle.
    private const int StartMiB = 9;

    private static readonly string[] s_linux = ["first", "second"];

    /// <summary>
    /// A machine that is too small for all its guests at full size. Guests shrink for one that is started, in proportion to what they have above their
    /// floors, and grow back when it is gone; what cannot be had is refused, and leaves all as it was.
    /// </summary>
    [Fact]
    public async Task GuestsShrinkForAStartAndGrowBack()
    {
        BootDirectory directory = BootDirectory.For(nameof(GuestsShrinkForAStartAndGrowBack));
        TestGuest guest = await TestGuest.CreateAsync();
        guest.MemoryMiB = LinuxMiB;
        string[] linux = [.. s_linux.Select(name => guest.Write(
            directory, name, "panic=-1 quiet", $"memory_min = {FloorMiB}", "on_reboot = \"destroy\"", "vif = [ \"\" ]"))];
        await using OperatorSession session = await OperatorSession.StartAsync(
            directory, ["--memory", "640", "--memory-policy", "share", "--options", "memory-patience=10", .. linux]);
        foreach (string name in s_linux)
        {
            await session.TypeAsync(name, "echo rea''dy", "ready");
        }

        // Places for guests stay once they are made.
        await RunAsync(session, Write(directory, "place", 16), Write(directory, "another", 16));
        string before = (await session.AuditAsync()).ToString();
        long free = await FreeAsync(session);
        await ShrinkAndGrowAsync(session, directory, free);
        Assert.Equal(before, (await session.AuditAsync()).ToString());
        await RefuseAsync(session, directory, free);
        Assert.Equal(before, (await session.AuditAsync()).ToString());
        await KeepFromTheUnwillingAsync(session, directory);
        Assert.Equal(before, (await session.AuditAsync()).ToString());
    }

    private static async Task RunAsync(OperatorSession session, params string[] configurations)
    {
        foreach (string configuration in configurations)
        {
            await session.CallAsync("start", configuration);
        }

        foreach (string configuration in configurations)
        {
            await session.CallAsync("destroy", Path.GetFileNameWithoutExtension(configuration));
        }
    }

    private static async Task ShrinkAndGrowAsync(OperatorSession session, BootDirectory directory, long free)
    {
        await session.CallAsync("start", Write(directory, "third", free + 100));
        Assert.Equal(free + 100, (await session.FindAsync("third"))!["memory_kib"]!.GetValue<long>() >> 10);
        long[] kept = await Task.WhenAll(s_linux.Select(name => MemoryAsync(session, name)));
        Assert.All(kept, memory => Assert.InRange(memory, FloorMiB << 10, (LinuxMiB - 50) << 10));
        Assert.InRange(Math.Abs(kept[0] - kept[1]), 0, 2048);

        // One gets all its memory back at the cost of the other.
        await session.CallAsync("mem-set", s_linux[0], LinuxMiB.ToString(CultureInfo.InvariantCulture));
        await session.AwaitAsync(s_linux[0], "all its memory", static entry => entry!["memory_kib"]!.GetValue<long>() == LinuxMiB << 10);
        Assert.InRange(await MemoryAsync(session, s_linux[1]), FloorMiB << 10, kept[1] - (40 << 10));
        await session.CallAsync("destroy", "third");
        await AwaitFullAsync(session);
    }

    private static async Task RefuseAsync(OperatorSession session, BootDirectory directory, long free)
    {
        string tooLarge = Write(directory, "large", free + (2 * (LinuxMiB - FloorMiB)));
        Assert.Contains("above their floors", await session.CallRefusedAsync(1, "could not be started", "start", tooLarge), StringComparison.Ordinal);
        await session.CallAsync("mem-policy", "manual");
        string tight = Write(directory, "tight", free);
        Assert.Contains("not enough memory", await session.CallRefusedAsync(1, "could not be started", "start", tight), StringComparison.Ordinal);

        // Its memory is there; that of its devices' objects is not.
        string devices = Write(directory, "devices", free - StartMiB, "vcpus = 4", "maxvcpus = 64", $"vif = [ {string.Join(", ", Enumerable.Repeat("\"\"", 16))} ]");
        Assert.Contains("cannot create a vif", await session.CallRefusedAsync(1, "could not be started", "start", devices), StringComparison.Ordinal);
        await session.AwaitAsync("devices", "an end", static entry => entry is null);
        await session.CallAsync("mem-policy", "share");
        await AwaitFullAsync(session);
    }

    /// <summary>The memory that one guest does not give up is not had; the others get back what they gave up.</summary>
    private static async Task KeepFromTheUnwillingAsync(OperatorSession session, BootDirectory directory)
    {
        await session.CallAsync("start", Write(directory, "stubborn", StubbornMiB, "memory_min = 8"));
        long free = await FreeAsync(session);
        string late = Write(directory, "late", free + 100);
        Task<string> start = session.CallRefusedAsync(1, "could not be started", "start", late);
        await session.AwaitAsync("late", "a start that waits", static entry => entry?["state"]!.GetValue<string>() == "waiting");
        JsonNode list = JsonNode.Parse(await session.CallAsync("list", "--json"))!;
        Assert.True(list["claimed_kib"]!.GetValue<long>() > (free + 100) << 10);
        Assert.Contains("no memory from \"stubborn\"", await start, StringComparison.Ordinal);
        await AwaitFullAsync(session);
        Assert.Equal(StubbornMiB << 10, (await session.FindAsync("stubborn"))!["target_kib"]!.GetValue<long>());
        Assert.Equal(0, JsonNode.Parse(await session.CallAsync("list", "--json"))!["claimed_kib"]!.GetValue<long>());
        await session.CallAsync("destroy", "stubborn");
        await session.AwaitAsync("stubborn", "an end", static entry => entry is null);
    }

    /// <summary>A guest with the test kernel, which does nothing and does not follow its target.</summary>
    private static string Write(BootDirectory directory, string name, long mib, params string[] settings)
    {
        string file = TestKernel.Write(directory, name, "sleep=1", settings);
        File.WriteAllText(file, File.ReadAllText(file).Replace("memory = 16", string.Create(CultureInfo.InvariantCulture, $"memory = {mib}"), StringComparison.Ordinal));
        return file;
    }

    /// <summary>Free memory in MiB.</summary>
    private static async Task<long> FreeAsync(OperatorSession session) =>
        JsonNode.Parse(await session.CallAsync("list", "--json"))!["free_kib"]!.GetValue<long>() >> 10;

    private static async Task<long> MemoryAsync(OperatorSession session, string name) => (await session.FindAsync(name))!["memory_kib"]!.GetValue<long>();

    private static async Task AwaitFullAsync(OperatorSession session)
    {
        foreach (string name in s_linux)
        {
            await session.AwaitAsync(name, "all its memory", static entry => entry!["memory_kib"]!.GetValue<long>() == LinuxMiB << 10);
        }
    }
}
