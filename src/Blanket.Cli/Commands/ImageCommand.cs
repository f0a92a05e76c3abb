using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Configuration;
using Blanket.Lab.Images;

namespace Blanket.Cli.Commands;

/// <summary><c>image</c>: a disk with Debian and its own kernel inside, and a configuration that boots it by PV-GRUB.</summary>
internal static class ImageCommand
{
    private const string Extension = ".raw";

    internal static Command Create(Report report)
    {
        Argument<string> image = new("IMAGE.raw") { Description = "The image to write; the guest's configuration is written beside it as IMAGE.cfg." };
        Option<string> kernel = new("--kernel")
        {
            Description = "The Debian package of the guest's kernel.",
            HelpName = "PACKAGE",
            DefaultValueFactory = _ => DebianImage.DefaultKernelPackage,
        };
        Option<string[]> keys = new("--ssh-key")
        {
            Description = "A public key that may log in as root by SSH (repeatable; default: those in ~/.ssh).",
            HelpName = "FILE",
            DefaultValueFactory = _ => [],
        };
        Option<string[]> packages = new("--package")
        {
            Description = "A further Debian package to install (repeatable).",
            HelpName = "PACKAGE",
            DefaultValueFactory = _ => [],
        };
        Option<string?> password = new("--password") { Description = "Root's password, for the console.", HelpName = "TEXT" };
        Command command = new("image", "Make a disk image with Debian and its own kernel inside, for PV-GRUB.") { image, kernel, packages, keys, password };
        command.SetAction((arguments, cancellation) => RunAsync(
            Path.GetFullPath(arguments.GetRequiredValue(image)),
            arguments.GetRequiredValue(kernel),
            arguments.GetRequiredValue(packages),
            arguments.GetRequiredValue(keys),
            arguments.GetValue(password),
            report,
            cancellation));
        return command;
    }

    private static async Task<int> RunAsync(
        string path,
        string kernelPackage,
        IReadOnlyList<string> packages,
        IReadOnlyList<string> keyFiles,
        string? password,
        Report report,
        CancellationToken cancellation)
    {
        string name = Path.GetFileNameWithoutExtension(path);
        string configuration = Path.ChangeExtension(path, ".cfg");
        RequireNew(path, name, configuration);
        IReadOnlyList<string> keys = keyFiles.Count > 0 ? keyFiles : FindKeys();
        if (keys.Count == 0 && password is null)
        {
            throw new InputException("nobody could log in: there is no key in ~/.ssh, expected --ssh-key FILE or --password TEXT");
        }

        ImageLogin login = new() { HostName = name, AuthorizedKeys = string.Concat(keys.Select(ReadKey)), Password = password };
        DebianImage image = await DebianImage.PrepareAsync(kernelPackage, packages, report.Step, cancellation).ConfigureAwait(false);
        await image.WriteAsync(path, login, cancellation).ConfigureAwait(false);
        string grub = Path.Combine(Path.GetDirectoryName(path)!, Path.GetFileName(image.Grub));
        File.Copy(image.Grub, grub, overwrite: true);
        await File.WriteAllTextAsync(configuration, Configuration(name, Path.GetFileName(grub), Path.GetFileName(path)), cancellation).ConfigureAwait(false);
        report.Line($"{path}: Debian with {kernelPackage}");
        report.Line($"{configuration}: run it with ./blanket run {configuration} --forward 2222:22, then ssh -p 2222 root@localhost");
        return ExitStatus.Success;
    }

    private static void RequireNew(string path, string name, string configuration)
    {
        if (Path.GetExtension(path) != Extension || !GuestName.IsValid(name))
        {
            throw new InputException($"{path} cannot be a guest's image, expected NAME{Extension} with a name of letters, digits and - . _");
        }

        foreach (string file in new[] { path, configuration })
        {
            if (File.Exists(file))
            {
                throw new InputException($"{file} exists, expected a new file");
            }
        }
    }

    private static IReadOnlyList<string> FindKeys()
    {
        string directory = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".ssh");
        return Directory.Exists(directory) ? [.. Directory.EnumerateFiles(directory, "id_*.pub").Order(StringComparer.Ordinal)] : [];
    }

    private static string ReadKey(string file)
    {
        string text = File.Exists(file) ? File.ReadAllText(file).Trim() : throw new InputException($"--ssh-key {file} does not exist, expected a public key");
        return text.Contains("PRIVATE KEY", StringComparison.Ordinal)
            ? throw new InputException($"--ssh-key {file} is a private key, expected a public one")
            : text + "\n";
    }

    private static string Configuration(string name, string grub, string image) => $"""
        name    = "{name}"
        type    = "pv"
        memory  = 512
        vcpus   = 1
        kernel  = "{grub}"
        disk    = [ "format=raw, vdev=xvda, access=rw, target={image}" ]
        vif     = [ "" ]

        """;
}
