using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;

namespace Blanket.Lab.StockXen;

/// <summary>
/// States of machines of the bed whose dom0 waits for its job, kept in the cache: a machine that continues one is ready at once. A state is good
/// for the same QEMU and for a machine with the same devices only; contents of disks and of the job's directory are not in it.
/// </summary>
internal static class SavedMachine
{
    private const string Ready = "bed: ready";
    private const string StateFile = "state";
    private const string Folder = "xen-states";
    private const string QmpSocket = "qmp";
    private const int KeptStates = 6;
    private const long BytesPerSecond = 1L << 40;
    private const int BufferSize = 16 << 10;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>The machine as one that continues a saved state, which is made if it is not there.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="report">Takes a line for each step that takes a while.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <returns>The machine itself, to be booted, when its disks' sizes are not simply those of files.</returns>
    internal static async Task<MachineOptions> ContinueAsync(MachineOptions machine, Action<string> report, CancellationToken cancellation)
    {
        if (Tool.Find(QemuCommandLine.Program) is not string program || machine.Disks.Any(disk => !HasPlainSize(disk)))
        {
            return machine;
        }

        string key = Key(machine, program);
        string directory = await CacheDirectory.OnceAsync(Path.Combine(Folder, key), async draft =>
        {
            report("booting Xen and dom0 once, to continue from there");
            await SaveAsync(machine, draft, cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        Directory.SetLastWriteTimeUtc(directory, DateTime.UtcNow);
        DeleteOldest(Path.GetDirectoryName(directory)!);
        string state = Path.Combine(directory, StateFile).Replace("'", "'\\''", StringComparison.Ordinal);
        return machine with { ExtraArguments = [.. machine.ExtraArguments, "-incoming", $"exec:cat '{state}'"] };
    }

    /// <summary>What a state depends on: QEMU itself, and its arguments with a disk's size in place of its file.</summary>
    internal static string Key(MachineOptions machine, string program)
    {
        FileInfo file = new(program);
        FileInfo target = (FileInfo?)file.ResolveLinkTarget(returnFinalTarget: true) ?? file;
        MachineOptions shape = machine with
        {
            Disks = [.. machine.Disks.Select(disk => disk with { Specification = disk.Specification with { Target = $"{Length(disk)} bytes" } })],
            SharedDirectory = string.Empty,
            Forwards = [],
        };
        string text = string.Join('\n', [$"{target.LastWriteTimeUtc.Ticks} {target.Length}", .. QemuCommandLine.Build(shape, string.Empty)]);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..16];
    }

    private static long Length(PlannedDisk disk) => new FileInfo(disk.Specification.Target).Length;

    private static bool HasPlainSize(PlannedDisk disk) =>
        disk.Specification.Format == DiskFormat.Raw
        && !disk.Specification.Target.StartsWith("/dev/", StringComparison.Ordinal)
        && File.Exists(disk.Specification.Target);

    private static async Task SaveAsync(MachineOptions machine, string directory, CancellationToken cancellation)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Patience);
        string sockets = Directory.CreateTempSubdirectory("blanket-qmp-").FullName;
        string socket = Path.Combine(sockets, QmpSocket);
        MachineOptions listening = machine with { ExtraArguments = [.. machine.ExtraArguments, "-qmp", $"unix:{socket},server=on,wait=off"] };
        try
        {
            await using VirtualMachine running = await VirtualMachine.StartAsync(listening, limit.Token).ConfigureAwait(false);
            await WaitUntilReadyAsync(running, limit.Token).ConfigureAwait(false);
            using QmpConnection qemu = await QmpConnection.OpenAsync(socket, limit.Token).ConfigureAwait(false);
            await WriteStateAsync(qemu, Path.Combine(directory, StateFile), limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new HostException($"dom0 of the Xen bed was not ready after {Patience.TotalMinutes:F0} minutes");
        }
        finally
        {
            Directory.Delete(sockets, recursive: true);
        }
    }

    private static async Task WaitUntilReadyAsync(VirtualMachine machine, CancellationToken cancellation)
    {
        LineSplitter lines = new();
        byte[] buffer = new byte[BufferSize];
        string last = "nothing";
        for (int count = 1; count > 0;)
        {
            count = await machine.Log.ReadAsync(buffer, cancellation).ConfigureAwait(false);
            foreach (string line in lines.Add(buffer.AsSpan(0, count)))
            {
                if (line == Ready)
                {
                    return;
                }

                last = line;
            }
        }

        throw new HostException($"Xen or dom0 of the Xen bed ended early; their last line: {last}");
    }

    private static async Task WriteStateAsync(QmpConnection qemu, string file, CancellationToken cancellation)
    {
        // A machine that was stopped before would not run when its state is continued; QEMU stops it for the end of the migration.
        await qemu.ExecuteAsync("migrate-set-parameters", new JsonObject { ["max-bandwidth"] = BytesPerSecond }, cancellation).ConfigureAwait(false);
        string path = file.Replace("'", "'\\''", StringComparison.Ordinal);
        await qemu.ExecuteAsync("migrate", new JsonObject { ["uri"] = $"exec:cat > '{path}'" }, cancellation).ConfigureAwait(false);
        while (true)
        {
            JsonNode answer = await qemu.ExecuteAsync("query-migrate", null, cancellation).ConfigureAwait(false);
            switch ((string?)answer["status"])
            {
                case "completed":
                    return;
                case "failed" or "cancelled":
                    throw new HostException($"QEMU cannot save the state of the Xen bed: {answer["error-desc"]}");
                default:
                    await Task.Delay(PollInterval, cancellation).ConfigureAwait(false);
                    break;
            }
        }
    }

    /// <summary>A state is some 200 MB; those that were not used for longest go.</summary>
    private static void DeleteOldest(string folder)
    {
        IEnumerable<DirectoryInfo> old = new DirectoryInfo(folder).EnumerateDirectories().OrderByDescending(state => state.LastWriteTimeUtc).Skip(KeptStates);
        foreach (DirectoryInfo state in old.ToArray())
        {
            try
            {
                state.Delete(recursive: true);
            }
            catch (IOException)
            {
                // Another run deletes it, too.
            }
        }
    }
}
