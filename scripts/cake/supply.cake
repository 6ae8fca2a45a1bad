// What is shipped that others made: checked against the lock files, and listed as a CycloneDX document.
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;

const string NpmLock = "native/runtimes/package-lock.json";
const string Notices = "THIRD-PARTY-NOTICES.md";

// Referenced by every project, part of no output.
var buildOnly = new[] { "Meziantou.Analyzer" };

record Shipped(string Kind, string Name, string Version, string Hash);

JsonNode ReadJson(string path) => JsonNode.Parse(System.IO.File.ReadAllText(path));

/// The packages of the npm lock file; each must carry the hash that `npm ci` compares.
List<Shipped> NpmPackages()
{
    var shipped = new List<Shipped>();
    foreach (var (place, entry) in ReadJson(NpmLock)["packages"].AsObject().Where(entry => entry.Key.Length > 0))
    {
        var hash = (string)entry["integrity"];
        if (hash == null || !hash.StartsWith("sha512-"))
        {
            throw new CakeException($"{NpmLock}: {place} has no sha512 'integrity', so what npm brings could not be checked; "
                + "write the lock file again with 'npm install --package-lock-only' in native/runtimes");
        }
        shipped.Add(new Shipped("npm", place.Substring("node_modules/".Length), (string)entry["version"], hash.Substring("sha512-".Length)));
    }
    return shipped;
}

/// The NuGet packages that the program stands on, from its lock file.
List<Shipped> NuGetPackages() => ReadJson("src/Slimming.Cli/packages.lock.json")["dependencies"]["net10.0"].AsObject()
    .Where(entry => (string)entry.Value["type"] != "Project" && !buildOnly.Contains(entry.Key))
    .Select(entry => new Shipped("nuget", entry.Key, (string)entry.Value["resolved"], (string)entry.Value["contentHash"]))
    .ToList();

/// The table of the notices, by "name version", with the licence.
Dictionary<string, string> NoticedLicences() => System.IO.File.ReadLines(Notices)
    .Where(line => line.StartsWith("| ") && !line.StartsWith("| name"))
    .Select(line => line.Split('|').Select(cell => cell.Trim()).ToArray())
    .ToDictionary(cells => $"{cells[1]} {cells[2]}", cells => cells[3]);

Task("Supply")
    .Description("Fails when an npm package has no hash or the third-party notices are not those of the lock files.")
    .Does(() =>
{
    var shipped = NpmPackages().Concat(NuGetPackages()).Select(package => $"{package.Name} {package.Version}").ToList();
    var noticed = NoticedLicences().Keys;
    var wrong = shipped.Except(noticed).Select(name => $"{name} is shipped and not listed")
        .Concat(noticed.Except(shipped).Select(name => $"{name} is listed and not shipped")).ToList();
    if (wrong.Count > 0)
    {
        throw new CakeException($"{Notices} differs from the lock files:\n  " + string.Join("\n  ", wrong));
    }
});

Task("Sbom")
    .Description("Lists everything shipped, with hashes and licences, in artifacts/sbom.json (CycloneDX 1.5).")
    .IsDependentOn("Build")
    .Does(() =>
{
    var program = ReadJson("artifacts/slimming.deps.json")["libraries"].AsObject();
    var built = program.Where(entry => (string)entry.Value["type"] == "package").Select(entry => entry.Key).ToHashSet();
    if (!built.SetEquals(NuGetPackages().Select(package => $"{package.Name}/{package.Version}")))
    {
        throw new CakeException("artifacts/slimming.deps.json names other packages than src/Slimming.Cli/packages.lock.json: " + string.Join(", ", built));
    }
    var licences = NoticedLicences();
    var components = new JsonArray();
    foreach (var package in NuGetPackages().Concat(NpmPackages()))
    {
        var component = new JsonObject
        {
            ["type"] = "library",
            ["bom-ref"] = $"pkg:{package.Kind}/{package.Name.Replace("@", "%40")}@{package.Version}",
            ["name"] = package.Name,
            ["version"] = package.Version,
            ["licenses"] = new JsonArray(new JsonObject
            {
                ["license"] = new JsonObject { ["id"] = licences[$"{package.Name} {package.Version}"] },
            }),
            ["purl"] = $"pkg:{package.Kind}/{package.Name.Replace("@", "%40")}@{package.Version}",
        };
        if (package.Kind == "npm")
        {
            component["hashes"] = Hashes("SHA-512", Convert.FromBase64String(package.Hash));
        }
        else
        {
            // Of the package without its signature, so not the hash of a file.
            component["properties"] = new JsonArray(new JsonObject { ["name"] = "nuget:contentHash", ["value"] = package.Hash });
        }
        components.Add(component);
    }
    var root = MakeAbsolute(staged);
    foreach (var file in GetFiles("artifacts/native/**/*").OrderBy(file => file.FullPath, StringComparer.Ordinal))
    {
        components.Add(new JsonObject
        {
            ["type"] = "file",
            ["bom-ref"] = "file:native/" + root.GetRelativePath(file).FullPath,
            ["name"] = "native/" + root.GetRelativePath(file).FullPath,
            ["hashes"] = Hashes("SHA-256", SHA256.HashData(System.IO.File.ReadAllBytes(file.FullPath))),
        });
    }
    var version = program.Single(entry => entry.Key.StartsWith("slimming/")).Key.Split('/')[1];
    var document = new JsonObject
    {
        ["bomFormat"] = "CycloneDX",
        ["specVersion"] = "1.5",
        ["version"] = 1,
        ["metadata"] = new JsonObject
        {
            ["component"] = new JsonObject
            {
                ["type"] = "application",
                ["bom-ref"] = "slimming",
                ["name"] = "slimming",
                ["version"] = version,
            },
        },
        ["components"] = components,
    };
    System.IO.File.WriteAllText("artifacts/sbom.json", document.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
    Information($"artifacts/sbom.json: {components.Count} components");
});

JsonArray Hashes(string algorithm, byte[] digest) =>
    new(new JsonObject { ["alg"] = algorithm, ["content"] = Convert.ToHexString(digest).ToLowerInvariant() });
