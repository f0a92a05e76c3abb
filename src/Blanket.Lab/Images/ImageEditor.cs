using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Images;

/// <summary>Puts files into the ext4 root of an image by debugfs(8), which needs neither root nor a loop device.</summary>
internal sealed class ImageEditor(string image) : IDisposable
{
    /// <summary>Bytes before the root file system, as make-image.sh lays it out.</summary>
    private const int PartitionOffset = 1 << 20;

    private const string RegularFile = "0100";
    private const string PublicMode = RegularFile + "644";
    private const string PrivateMode = RegularFile + "600";
    private const string ShadowFile = "/etc/shadow";
    private const string ShadowMode = RegularFile + "640";
    private const int ShadowGroup = 42;

    private readonly string _directory = Directory.CreateTempSubdirectory("blanket-image-").FullName;
    private readonly StringBuilder _commands = new();
    private int _files;

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>Adds or replaces a file of root's that everybody may read.</summary>
    internal void Add(string path, byte[] content) => Add(path, content, PublicMode, 0);

    /// <summary>Makes SSH host keys, as ssh-keygen does for a new host.</summary>
    internal async Task AddHostKeysAsync(string host, CancellationToken cancellation)
    {
        foreach (string type in new[] { "ed25519", "ecdsa", "rsa" })
        {
            string key = Path.Combine(_directory, type);
            await Tool.RequireAsync("ssh-keygen", ["-q", "-N", string.Empty, "-C", $"root@{host}", "-t", type, "-f", key], cancellation: cancellation).ConfigureAwait(false);
            Add($"/etc/ssh/ssh_host_{type}_key", await File.ReadAllBytesAsync(key, cancellation).ConfigureAwait(false), PrivateMode, 0);
            Add($"/etc/ssh/ssh_host_{type}_key.pub", await File.ReadAllBytesAsync(key + ".pub", cancellation).ConfigureAwait(false));
        }
    }

    /// <summary>Sets root's password in the image's shadow(5).</summary>
    internal async Task SetRootPasswordAsync(string password, CancellationToken cancellation)
    {
        const string program = "chomp(my $p = <STDIN>); my @c = ('a'..'z', 'A'..'Z', 0..9); open(my $r, '<', '/dev/urandom'); read($r, my $b, 16); "
            + "print crypt($p, '$6$' . join('', map { $c[ord($_) % @c] } split(//, $b)) . '$');";
        ToolResult hash = await Tool.RequireAsync("perl", ["-e", program], Encoding.UTF8.GetBytes(password + "\n"), cancellation: cancellation).ConfigureAwait(false);
        string old = Path.Combine(_directory, "shadow");
        await DebugAsync($"dump {ShadowFile} {old}\n", cancellation).ConfigureAwait(false);
        string[] lines = await File.ReadAllLinesAsync(old, cancellation).ConfigureAwait(false);
        string text = string.Concat(lines.Select(line => WithPassword(line, hash.Text) + "\n"));
        Add(ShadowFile, Encoding.UTF8.GetBytes(text), ShadowMode, ShadowGroup);
    }

    /// <summary>Does everything that was asked for.</summary>
    internal Task WriteAsync(CancellationToken cancellation) => DebugAsync(_commands.ToString(), cancellation);

    private static string WithPassword(string line, string hash)
    {
        string[] fields = line.Split(':');
        fields[1] = fields[0] == "root" ? hash : fields[1];
        return string.Join(':', fields);
    }

    private void Add(string path, byte[] content, string mode, int group)
    {
        string file = Path.Combine(_directory, string.Create(CultureInfo.InvariantCulture, $"file{_files++}"));
        File.WriteAllBytes(file, content);
        _commands.Append(CultureInfo.InvariantCulture, $"rm {path}\nwrite {file} {path}\n")
            .Append(CultureInfo.InvariantCulture, $"sif {path} mode {mode}\nsif {path} uid 0\nsif {path} gid {group}\n");
    }

    /// <summary>Runs debugfs, whose exit status is 0 whatever happens: what it says on its standard error tells.</summary>
    private async Task DebugAsync(string commands, CancellationToken cancellation)
    {
        string script = Path.Combine(_directory, "commands");
        await File.WriteAllTextAsync(script, commands, cancellation).ConfigureAwait(false);
        ToolResult result = await Tool.RequireAsync(
            "/usr/sbin/debugfs", ["-w", "-f", script, string.Create(CultureInfo.InvariantCulture, $"{image}?offset={PartitionOffset}")], cancellation: cancellation).ConfigureAwait(false);
        string? complaint = result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .FirstOrDefault(line => !line.StartsWith("debugfs 1", StringComparison.Ordinal) && !line.StartsWith("rm: File not found", StringComparison.Ordinal));
        if (complaint is not null)
        {
            throw new HostException($"debugfs cannot write to {image}: {complaint}");
        }
    }
}
