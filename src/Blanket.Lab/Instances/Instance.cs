using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Instances;

/// <summary>
/// A running Blanket that other commands can find: a directory named for it with Unix sockets. Whoever runs it holds a lock on a file
/// there, so a directory that was left behind is recognised and removed.
/// </summary>
public sealed class Instance : IDisposable
{
    /// <summary>Name of the first instance of a user that is given none.</summary>
    public const string DefaultName = "blanket";

    private const int MaximumName = 16;

    /// <summary>Longest base directory that leaves room for socket names (sockaddr_un has 108 bytes).</summary>
    private const int MaximumBase = 24;

    private const int MaximumInstances = 100;
    private const string LockFile = "lock";
    private const string TurnFile = "turn";
    private const int TurnPollMilliseconds = 50;

    private readonly FileStream? _lock;

    private Instance(string directory, FileStream? held)
    {
        Directory = directory;
        _lock = held;
    }

    /// <summary>Its directory.</summary>
    public string Directory { get; }

    /// <summary>Its name.</summary>
    public string Name => Path.GetFileName(Directory);

    /// <summary>Where the management protocol is spoken.</summary>
    public string ManagementSocket => Path.Combine(Directory, "management");

    /// <summary>Where QEMU listens for its machine protocol.</summary>
    public string QmpSocket => Path.Combine(Directory, "qmp");

    /// <summary>Where a guest's console is.</summary>
    public string ConsoleSocket(string guest) => Path.Combine(Directory, "c." + guest);

    /// <summary>Where consoles are made for guests that come later, on a machine whose consoles share a line (<see cref="AddedConsoles"/>).</summary>
    public string ConsolesSocket => Path.Combine(Directory, "consoles");

    /// <summary>The machine's disk devices, and who has them. To be used by who has the instance's turn.</summary>
    public IReadOnlyList<DiskSlot> ReadDiskSlots() =>
        JsonSerializer.Deserialize<DiskSlot[]>(File.ReadAllBytes(DisksFile)) ?? [];

    /// <summary>Notes who has the machine's disk devices.</summary>
    public void WriteDiskSlots(IEnumerable<DiskSlot> slots) => File.WriteAllBytes(DisksFile, JsonSerializer.SerializeToUtf8Bytes(slots.ToArray()));

    /// <summary>
    /// Waits for the turn to talk to Blanket and to QEMU, which serve one after the other. Disposing what comes back gives it to others.
    /// </summary>
    /// <param name="waits">Called once when somebody else has it.</param>
    /// <param name="cancellation">Stops the wait.</param>
    public async Task<IDisposable> TakeTurnAsync(Action waits, CancellationToken cancellation)
    {
        bool isTold = false;
        while (true)
        {
            try
            {
                return new FileStream(Path.Combine(Directory, TurnFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (DirectoryNotFoundException)
            {
                throw new HostException($"instance {Name} is gone");
            }
            catch (IOException)
            {
                if (!isTold)
                {
                    waits();
                    isTold = true;
                }

                await Task.Delay(TurnPollMilliseconds, cancellation).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Makes the directory of an instance that this process runs.</summary>
    /// <param name="name">Its name; null for the first free one of blanket, blanket-2, ...</param>
    /// <exception cref="InputException">There is one of that name, or the name cannot be one.</exception>
    public static Instance Create(string? name)
    {
        if (name is not null)
        {
            RequireName(name);
            return TryCreate(name) ?? throw new InputException($"an instance {name} is running, expected another --name");
        }

        return Enumerable.Range(1, MaximumInstances)
            .Select(number => TryCreate(number == 1 ? DefaultName : string.Create(CultureInfo.InvariantCulture, $"{DefaultName}-{number}")))
            .FirstOrDefault(instance => instance is not null)
            ?? throw new InputException($"there are {MaximumInstances} instances, expected a --name for another");
    }

    /// <summary>The running instance of a name, or the only one.</summary>
    /// <exception cref="InputException">There is none, or there are several to choose from.</exception>
    public static Instance Find(string? name)
    {
        IReadOnlyList<Instance> all = FindAll();
        if (name is not null)
        {
            return all.FirstOrDefault(instance => instance.Name == name)
                ?? throw new InputException($"no instance {name} is running{Others(all)}");
        }

        return all.Count switch
        {
            1 => all[0],
            0 => throw new InputException("no instance is running, expected one of ./blanket run"),
            _ => throw new InputException($"several instances are running, expected --instance{Others(all)}"),
        };
    }

    /// <summary>The running instances of this user; directories that were left behind are removed.</summary>
    public static IReadOnlyList<Instance> FindAll()
    {
        string place = Place();
        if (!System.IO.Directory.Exists(place))
        {
            return [];
        }

        List<Instance> running = [];
        foreach (string directory in System.IO.Directory.GetDirectories(place).Order(StringComparer.Ordinal))
        {
            using FileStream? free = TryLock(directory);
            if (free is null)
            {
                running.Add(new Instance(directory, null));
            }
            else
            {
                System.IO.Directory.Delete(directory, recursive: true);
            }
        }

        return running;
    }

    /// <summary>Ends an instance that this process made.</summary>
    public void Dispose()
    {
        if (_lock is not null)
        {
            System.IO.Directory.Delete(Directory, recursive: true);
            _lock.Dispose();
        }
    }

    private string DisksFile => Path.Combine(Directory, "disks");

    private static string Others(IReadOnlyList<Instance> all) =>
        all.Count == 0 ? string.Empty : $" (running: {string.Join(", ", all.Select(instance => instance.Name))})";

    private static void RequireName(string name)
    {
        bool isName = name.Length is > 0 and <= MaximumName && char.IsAsciiLetterOrDigit(name[0])
            && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
        if (!isName)
        {
            throw new InputException($"--name {name}, expected 1 to {MaximumName} letters, digits and - _ .");
        }
    }

    private static Instance? TryCreate(string name)
    {
        string directory = Path.Combine(Place(), name);
        System.IO.Directory.CreateDirectory(directory);
        if (OperatingSystem.IsLinux())
        {
            // Whoever may connect is an operator: nobody but this user.
            File.SetUnixFileMode(Path.GetDirectoryName(directory)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        FileStream? held = TryLock(directory);
        if (held is null)
        {
            return null;
        }

        // What a run that was killed has left.
        foreach (string file in System.IO.Directory.GetFiles(directory).Where(file => Path.GetFileName(file) != LockFile))
        {
            File.Delete(file);
        }

        return new Instance(directory, held);
    }

    private static FileStream? TryLock(string directory)
    {
        try
        {
            return new FileStream(Path.Combine(directory, LockFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static string Place()
    {
        string? runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        string place = !string.IsNullOrEmpty(runtime) && runtime.Length <= MaximumBase && System.IO.Directory.Exists(runtime)
            ? Path.Combine(runtime, "blanket")
            : string.Create(CultureInfo.InvariantCulture, $"/tmp/blanket-{UserId()}");
        return place;
    }

    [DllImport("libc", EntryPoint = "geteuid")]
    private static extern uint UserId();
}
